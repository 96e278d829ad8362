-- A table and all its partitions, on every level.
create or replace function pgevents.table_parts(relation oid)
returns table (part regclass, is_leaf boolean)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select c.oid, c.relkind <> 'p'
    from pg_class as c
    where c.oid = relation or c.oid in (select relid from pg_partition_tree(relation))
$$;

revoke all on function pgevents.table_parts(oid) from public;
