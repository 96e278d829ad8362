-- The statement that writes the one row of a row trigger into one half of a layout's outbox.
create or replace function pgevents.capture_row_sql(
    captured pgevents.captured_table, shape pgevents.layout, event text, half integer
)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'insert into pgevents.outbox_%s_%s (op, %s) select %L, %s from (select %s.*) as r',
        shape.layout_id, half,
        pgevents.column_list(shape, case event when 'DELETE' then 'b%1$s' else 'a%1$s' end), left(event, 1),
        pgevents.values_sql(captured, 'r', '%1$s', false), case event when 'DELETE' then 'old' else 'new' end
    )
$$;

revoke all on function pgevents.capture_row_sql(pgevents.captured_table, pgevents.layout, text, integer)
from public;
