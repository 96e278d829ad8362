-- The statements that write the one row of a row trigger into one half of a layout's outbox, and settle it.
--
-- Always: the row triggers of one row may change another one before the turn of that one comes.
create or replace function pgevents.capture_row_sql(
    captured pgevents.captured_table, shape pgevents.layout, half integer
)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'if tg_op operator(pg_catalog.=) ''INSERT'' then'
        ' insert into %1$s (op, %2$s) select ''I'', %3$s from (select new.*) as n; %10$s;'
        ' elsif tg_op operator(pg_catalog.=) ''DELETE'' then'
        ' insert into %1$s (op, %4$s) select ''D'', %5$s from (select old.*) as o; %11$s;'
        ' else insert into %1$s (op, %4$s, %2$s) select ''U'', %6$s, %7$s'
        ' from (select %8$s from (select old.*) as o) as o, (select %9$s from (select new.*) as n) as n; %12$s;'
        ' end if',
        format('pgevents.outbox_%s_%s', shape.layout_id, half),
        pgevents.column_list(shape, 'a%1$s'), pgevents.values_sql(captured, 'n', '%1$s', false),
        pgevents.column_list(shape, 'b%1$s'), pgevents.values_sql(captured, 'o', '%1$s', false),
        pgevents.column_list(shape, 'o.b%1$s'), pgevents.column_list(shape, 'n.a%1$s'),
        pgevents.values_sql(captured, 'o', '%1$s as b%2$s', false),
        pgevents.values_sql(captured, 'n', '%1$s as a%2$s', false),
        pgevents.settle_sql(captured, shape, 'INSERT', half, '(select old.*)', '(select new.*)'),
        pgevents.settle_sql(captured, shape, 'DELETE', half, '(select old.*)', '(select new.*)'),
        pgevents.settle_sql(captured, shape, 'UPDATE', half, '(select old.*)', '(select new.*)')
    )
$$;

revoke all on function pgevents.capture_row_sql(pgevents.captured_table, pgevents.layout, integer)
from public;
