-- The columns of a captured table as the outbox keeps them, in the table's order.
--
-- relation  the captured table
-- exclude   columns that are never captured
-- returns   name; the outbox's type for it: the column's own type when it is built in, without a length; the
--           base of a domain; text for every other type (enums, composites, extensions), so that no outbox
--           ever keeps the application from changing or dropping a type of its own; and whether the value is
--           printed to be kept: a cast may be the application's own, and one of char(n)[] loses the padding
create or replace function pgevents.outbox_columns(relation oid, exclude text[])
returns table (name text, type text, printed boolean)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive base (attnum, attname, type_id) as (
        select attnum, attname, atttypid
        from pg_attribute
        where attrelid = relation and attnum > 0 and not attisdropped and attname <> all (exclude)
        union all
        select base.attnum, base.attname, pg_type.typbasetype
        from base
        inner join pg_type on pg_type.oid = base.type_id and pg_type.typtype = 'd'
    )

    select
        base.attname,
        case
            when pg_type.typname = '_bpchar' then 'text[]'
            when not kept.as_it_is then 'text'
            when pg_type.typname in ('varchar', 'name', 'char', 'xml') then 'text'
            when pg_type.typname in ('_varchar', '_name', '_char', '_xml') then 'text[]'
            when pg_type.typname = 'bpchar' then 'bpchar'
            when pg_type.typname = 'bit' then 'bit varying'
            when pg_type.typname = '_bit' then 'bit varying[]'
            else format_type(base.type_id, null)
        end,
        not kept.as_it_is
    from base
    inner join pg_type on base.type_id = pg_type.oid
    cross join lateral (
        select
            pg_type.typnamespace = 'pg_catalog'::regnamespace and pg_type.typtype in ('b', 'r', 'm')
            and pg_type.typname !~ '^_?reg' and pg_type.typname <> '_bpchar'
    ) as kept (as_it_is)
    where pg_type.typtype <> 'd'
    order by base.attnum
$$;

revoke all on function pgevents.outbox_columns(oid, text[]) from public;
