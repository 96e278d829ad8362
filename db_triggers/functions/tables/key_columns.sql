-- The key of a table: the columns asked for, or those of its primary key; empty when it has none.
create or replace function pgevents.key_columns(relation regclass, key text[])
returns text[]
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case when cardinality(key) > 0 then key else coalesce((
        select array_agg(pg_attribute.attname::text order by part.position)
        from pg_index
        cross join unnest(pg_index.indkey) with ordinality as part (attnum, position)
        inner join pg_attribute
            on pg_attribute.attrelid = pg_index.indrelid and pg_attribute.attnum = part.attnum
        where pg_index.indrelid = relation and pg_index.indisprimary
    ), '{}') end
$$;

revoke all on function pgevents.key_columns(regclass, text[]) from public;
