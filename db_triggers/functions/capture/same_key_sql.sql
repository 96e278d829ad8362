-- The condition that two rows of a captured table have the same key.
--
-- Compared by each type's own equality, so that an index on the key serves; by their text where a type has
-- none.
create or replace function pgevents.same_key_sql(captured pgevents.captured_table, one text, other text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select string_agg(
        case
            when t.typnamespace = 'pg_catalog'::regnamespace or t.typtype <> 'b' or t.typcategory = 'A'
                then format('%1$I.%3$I operator(pg_catalog.=) %2$I.%3$I', one, other, a.attname)
            when o.oid is not null
                then format('%1$I.%3$I operator(%4$I.=) %2$I.%3$I', one, other, a.attname, n.nspname)
            else format(
                'pg_catalog.format(''%%s'', %1$I.%3$I)'
                ' operator(pg_catalog.=) pg_catalog.format(''%%s'', %2$I.%3$I)',
                one, other, a.attname
            )
        end,
        ' and '
    )
    from pg_attribute as a
    inner join pg_type as t on a.atttypid = t.oid
    left join pg_operator as o on o.oprname = '=' and t.oid = o.oprleft and t.oid = o.oprright
    left join pg_namespace as n on o.oprnamespace = n.oid
    where a.attrelid = captured.relation and a.attname = any (captured.key)
$$;

revoke all on function pgevents.same_key_sql(pgevents.captured_table, text, text) from public;
