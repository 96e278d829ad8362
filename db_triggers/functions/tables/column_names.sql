-- The names of a table's columns by their numbers, null for one that is gone.
create or replace function pgevents.column_names(relation oid, attnums smallint[])
returns text[]
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(array_agg(a.attname::text order by wanted.position), '{}')
    from unnest(attnums) with ordinality as wanted (attnum, position)
    left join pg_attribute as a on a.attrelid = relation and a.attnum = wanted.attnum and not a.attisdropped
$$;

revoke all on function pgevents.column_names(oid, smallint[]) from public;
