-- Which of a source's shards an event is in, as an expression on the columns of a layout's outbox: by the key
-- of the row after the event, of a deletion before it. All events of a key are in one shard. -1 for what has
-- no key and concerns the whole table, a TRUNCATE or the end of a baseline: such a window is not split.
--
-- shards   how many there are, 1 for a source that has none
create or replace function pgevents.shard_sql(shape pgevents.layout, shards integer)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when shards = 1 then '0'
        else (
            select format(
                'case when op in (''T'', ''B'') then -1 else'
                ' ((hashtextextended(concat_ws(chr(31), %s), 0) & 9223372036854775807) %% %s)::integer end',
                string_agg(
                    format('case when op = ''D'' then b%1$s else a%1$s end', c.position), ', ' order by k.place
                ),
                shards
            )
            from unnest(shape.key) with ordinality as k (name, place)
            inner join unnest(shape.columns) with ordinality as c (name, position) on k.name = c.name
        )
    end
$$;

revoke all on function pgevents.shard_sql(pgevents.layout, integer) from public;
