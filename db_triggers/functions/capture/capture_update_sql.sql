-- The part of a capture function that writes the rows of an UPDATE into one half of a layout's outbox.
--
-- Old and new rows are paired by position: PostgreSQL writes both lists in the same order, while a pairing by
-- key would be wrong for an UPDATE that changes keys. A full join, because it alone can never be planned as a
-- nested loop, whose cost on a large statement after a small one was planned would be quadratic. A single row
-- needs no position, and has a statement of its own that costs half of the other: where there are several it
-- looks at two and writes nothing. Of each list it takes one row at most: the planner would see the product
-- of both, so dear that a server with a just-in-time compiler compiles it. Each list is read in a subquery,
-- for the expression of a virtual generated column names its columns without their table.
create or replace function pgevents.capture_update_sql(
    captured pgevents.captured_table, shape pgevents.layout, half integer
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    unpaired constant text := pgevents.capture_unpaired_sql(captured, shape, half);
    single constant text := format(
        'insert into pgevents.outbox_%s_%s (op, %s, %s) select ''U'', %s, %s'
        ' from (select %s from old_rows as o limit 1) as earlier, (select %s from new_rows as n limit 1) as later'
        ' where not exists (select from new_rows offset 1)',
        shape.layout_id, half, pgevents.column_list(shape, 'b%1$s'), pgevents.column_list(shape, 'a%1$s'),
        pgevents.column_list(shape, 'earlier.b%1$s'), pgevents.column_list(shape, 'later.a%1$s'),
        pgevents.values_sql(captured, 'o', '%1$s as b%2$s', false),
        pgevents.values_sql(captured, 'n', '%1$s as a%2$s', false)
    );
    several constant text := format(
        'insert into pgevents.outbox_%s_%s (op, seq, %s, %s) select ''U'', later.seq, %s, %s'
        ' from (select pg_catalog.row_number() over () as position, %s from old_rows as o) as earlier'
        ' full join (select pg_catalog.row_number() over () as position,'
        ' pg_catalog.nextval(''pgevents.event_seq'') as seq, %s from new_rows as n) as later'
        ' on earlier.position operator(pg_catalog.=) later.position',
        shape.layout_id, half, pgevents.column_list(shape, 'b%1$s'), pgevents.column_list(shape, 'a%1$s'),
        pgevents.column_list(shape, 'earlier.b%1$s'), pgevents.column_list(shape, 'later.a%1$s'),
        pgevents.values_sql(captured, 'o', '%1$s as b%2$s', false),
        pgevents.values_sql(captured, 'n', '%1$s as a%2$s', false)
    );
    paired text := format('%s; if not found then %s; end if', single, several);
begin
    if pgevents.row_may_overflow(shape) then
        paired := format('begin %s; exception when program_limit_exceeded then %s; end', paired, unpaired);
    end if;
    -- A row that moves may be swallowed by a trigger of the partition it moves to: it has no counterpart
    -- then.
    if pgevents.is_partitioned(captured) then
        paired := format(
            'if pgevents.note_merge(%s, -1) then null;'
            ' elsif (select pg_catalog.count(*) from old_rows) operator(pg_catalog.=)'
            ' (select pg_catalog.count(*) from new_rows) then %s; else %s; end if',
            captured.table_id, paired, unpaired
        );
    end if;
    return paired;
end
$$;

revoke all on function pgevents.capture_update_sql(pgevents.captured_table, pgevents.layout, integer)
from public;
