-- The query for every event in a window: seq, captured_at, its place in the outbox, its weight in bytes and
-- its shard; or null when no outbox holds anything.
create or replace function pgevents.window_sql(
    window_from pg_snapshot, window_to pg_snapshot, shards integer default 1
)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select string_agg(
        format(
            'select seq, captured_at, %s as layout_id, %s as half, ctid as place, %s as weight, %s as shard'
            ' from %s where %s',
            o.layout_id, o.half, pgevents.weight_sql(l), pgevents.shard_sql(l, shards), o.outbox,
            pgevents.in_window_sql(window_from, window_to)
        ),
        ' union all '
    )
    from pgevents.pending_outboxes() as o
    inner join pgevents.layout as l on o.layout_id = l.layout_id
$$;

revoke all on function pgevents.window_sql(pg_snapshot, pg_snapshot, integer) from public;
