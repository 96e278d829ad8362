-- A layout's columns as a list for a statement, each formatted from its position, its name and its type.
--
-- Example: pgevents.column_list(shape, 'n.%2$I::%3$s') → n.id::bigint, n.name::text
create or replace function pgevents.column_list(shape pgevents.layout, pattern text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select string_agg(format(pattern, c.position, c.name, c.type), ', ' order by c.position)
    from unnest(shape.columns, shape.types) with ordinality as c (name, type, position)
$$;

revoke all on function pgevents.column_list(pgevents.layout, text) from public;
