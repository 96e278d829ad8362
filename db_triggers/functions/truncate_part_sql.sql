-- The body of the capture function for a TRUNCATE of one partition: each of its rows as a deletion.
create or replace function pgevents.truncate_part_sql(shape pgevents.layout, half integer)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'execute pg_catalog.format(''insert into pgevents.outbox_%s_%s (op, %s) select ''''D'''', %s from %%s as o'','
        ' tg_relid::pg_catalog.regclass)',
        shape.layout_id, half, pgevents.column_list(shape, 'b%1$s'),
        replace(replace(pgevents.column_list(shape, 'o.%2$I::%3$s'), '%', '%%'), '''', '''''')
    )
$$;

revoke all on function pgevents.truncate_part_sql(pgevents.layout, integer) from public;
