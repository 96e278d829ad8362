-- About how many bytes an event is when it is printed, as an expression on the columns of a layout's outbox.
--
-- The length of a text or a bytea is known without reading it, even where it is compressed or stored apart.
-- Of every other type that may be long, what is stored is taken for it; only a compressed value is printed to
-- be measured, since it may be a hundred times as long.
create or replace function pgevents.weight_sql(shape pgevents.layout)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select format('least(%s, 1073741823)::integer', string_agg(w.weight, ' + '))
    from (
        select '100::bigint' as weight
        union all
        select
            case
                when c.type in ('text', 'character varying', 'bpchar')
                    then format('coalesce(octet_length(%s), 0)', i.name)
                when c.type = 'bytea' then format('2 * coalesce(octet_length(%s), 0)::bigint', i.name)
                when t.typlen > 0 then '16'
                else format(
                    'coalesce(case when pg_column_compression(%1$s) is null then 2 * pg_column_size(%1$s)'
                    ' else octet_length(%1$s::text) end, 0)', i.name
                )
            end
        from unnest(shape.types) with ordinality as c (type, position)
        cross join lateral (values (format('b%s', c.position)), (format('a%s', c.position))) as i (name)
        left join pg_type as t on t.oid = to_regtype(c.type)
    ) as w
$$;

revoke all on function pgevents.weight_sql(pgevents.layout) from public;
