-- The body of one capture function: writes the rows of one statement into one half of a layout's outbox.
--
-- captured   the table
-- shape      the layout that the outbox has
-- event      INSERT, UPDATE, DELETE, TRUNCATE, or TRUNCATE_PART for a TRUNCATE of one partition
-- half       0 or 1
-- returns    an insert statement for plpgsql; new_rows and old_rows are the trigger's transition tables
--
-- An UPDATE's old and new rows are paired by position: PostgreSQL writes both lists in the same order, while a
-- pairing by key would be wrong for an UPDATE that changes keys. A full join, because it alone can never be
-- planned as a nested loop, whose cost on a large statement after a small one was planned would be quadratic.
create or replace function pgevents.capture_sql(
    captured pgevents.captured_table, shape pgevents.layout, event text, half integer
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    outbox constant text := format('pgevents.outbox_%s_%s', shape.layout_id, half);
    before_names text := pgevents.column_list(shape, 'b%1$s');
    after_names text := pgevents.column_list(shape, 'a%1$s');
    before_values text := pgevents.column_list(shape, 'o.%2$I::%3$s');
    after_values text := pgevents.column_list(shape, 'n.%2$I::%3$s');
begin
    return case event
        when 'INSERT' then
            format('insert into %s (op, %s) select ''I'', %s from new_rows as n', outbox, after_names, after_values)
        when 'DELETE' then
            format('insert into %s (op, %s) select ''D'', %s from old_rows as o', outbox, before_names, before_values)
        when 'UPDATE' then
            format(
                'insert into %s (op, seq, %s, %s) select ''U'', later.seq, %s, %s'
                ' from (select row_number() over () as position, %s from old_rows as o) as earlier'
                ' full join (select row_number() over () as position,'
                ' nextval(''pgevents.event_seq'') as seq, %s from new_rows as n) as later'
                ' on earlier.position operator(pg_catalog.=) later.position',
                outbox, before_names, after_names,
                pgevents.column_list(shape, 'earlier.b%1$s'), pgevents.column_list(shape, 'later.a%1$s'),
                pgevents.column_list(shape, 'o.%2$I::%3$s as b%1$s'),
                pgevents.column_list(shape, 'n.%2$I::%3$s as a%1$s')
            )
        when 'TRUNCATE' then
            format('insert into %s (op) values (''T'')', outbox)
        when 'TRUNCATE_PART' then
            pgevents.truncate_part_sql(shape, half)
    end;
end
$$;

revoke all on function pgevents.capture_sql(pgevents.captured_table, pgevents.layout, text, integer) from public;
