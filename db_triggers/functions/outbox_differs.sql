-- Whether a captured table has other columns than its current layout.
create or replace function pgevents.outbox_differs(captured pgevents.captured_table)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select not exists (
        select from pgevents.layout as l
        where l.table_id = captured.table_id and not l.retired
            and (l.columns, l.types) = (
                select array_agg(c.name), array_agg(c.type)
                from pgevents.outbox_columns(captured.relation, captured.exclude) as c
            )
    )
$$;

revoke all on function pgevents.outbox_differs(pgevents.captured_table) from public;
