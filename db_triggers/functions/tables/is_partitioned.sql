-- Whether a captured table has partitions, or may have them.
create or replace function pgevents.is_partitioned(captured pgevents.captured_table)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (select from pg_class where oid = captured.relation and relkind = 'p')
$$;

revoke all on function pgevents.is_partitioned(pgevents.captured_table) from public;
