-- An UPDATE whose old and new rows do not match one to one, or do not fit into one row of the outbox: the old
-- rows as deletions, the new ones as insertions.
create or replace function pgevents.capture_unpaired_sql(
    captured pgevents.captured_table, shape pgevents.layout, half integer
)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'insert into pgevents.outbox_%s_%s (op, %s, %s)'
        ' select ''D''::pg_catalog."char", %s, %s from old_rows as o'
        ' union all select ''I''::pg_catalog."char", %6$s, %s from new_rows as n',
        shape.layout_id, half, pgevents.column_list(shape, 'b%1$s'), pgevents.column_list(shape, 'a%1$s'),
        pgevents.values_sql(captured, 'o', '%1$s', false), pgevents.column_list(shape, 'null'),
        pgevents.values_sql(captured, 'n', '%1$s', false)
    )
$$;

revoke all on function pgevents.capture_unpaired_sql(pgevents.captured_table, pgevents.layout, integer)
from public;
