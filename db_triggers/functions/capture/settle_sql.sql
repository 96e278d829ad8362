-- The part of a capture function that puts right what the order of capture got wrong; see capture_body_sql.
--
-- A statement is captured when it ends. One that runs inside another (in a trigger, in a function, in a
-- cascade) therefore comes first although its change of a row may be the later one, and of the parts of one
-- query the one that ends last comes last. So each row just captured is looked up: where the table says
-- otherwise by now, its present row is captured once more as a snapshot, or as a deletion. The same for a key
-- that a row has left and another one holds.
--
-- old_rows   the rows before the change: the transition table, or what else to select from
-- new_rows   the rows after it
-- returns    plpgsql; where nothing was out of order it writes nothing
create or replace function pgevents.settle_sql(
    captured pgevents.captured_table, shape pgevents.layout, event text, half integer,
    old_rows text, new_rows text
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    outbox constant text := format('pgevents.outbox_%s_%s', shape.layout_id, half);
    before_names constant text := pgevents.column_list(shape, 'b%1$s');
    after_names constant text := pgevents.column_list(shape, 'a%1$s');
    present_row constant text := pgevents.column_list(shape, 'present.a%1$s');
    written_row constant text := pgevents.values_sql(captured, 'n', '%1$s', false);
    changed constant text := format(
        'insert into %s (op, %s, %s)'
        ' select case when present.here then ''S'' else ''D'' end, %s, %s from %s as n'
        ' left join %s on true where present.here is null'
        ' or row(%4$s)::pg_catalog.record operator(pg_catalog.*<>) row(%5$s)',
        outbox, before_names, after_names, written_row, present_row, new_rows,
        pgevents.present_sql(captured, 'n')
    );
    taken constant text := format(
        'insert into %s (op, %s) select ''S'', %s from %s as o cross join %s',
        outbox, after_names, present_row, pgevents.left_keys_sql(captured, event, old_rows, new_rows),
        pgevents.present_sql(captured, 'o')
    );
begin
    return case event
        when 'INSERT' then changed
        when 'UPDATE' then changed || '; ' || taken
        when 'DELETE' then taken
    end;
end
$$;

revoke all on function pgevents.settle_sql(
    pgevents.captured_table, pgevents.layout, text, integer, text, text
)
from public;
