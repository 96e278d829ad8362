-- How many rows the planner takes a table to have; null where it does not know.
create or replace function pgevents.expected_rows(captured pgevents.captured_table)
returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case when min(c.reltuples) >= 0 then sum(c.reltuples)::bigint end
    from pgevents.table_parts(captured.relation) as p
    inner join pg_class as c on p.part = c.oid
    where p.is_leaf
$$;

revoke all on function pgevents.expected_rows(pgevents.captured_table) from public;
