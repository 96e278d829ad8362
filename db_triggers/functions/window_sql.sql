-- The query for every event in a window: seq, captured_at and its place in the outbox; or null when no outbox
-- holds anything.
create or replace function pgevents.window_sql(window_from pg_snapshot, window_to pg_snapshot)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select string_agg(
        format(
            'select seq, captured_at, %s as layout_id, %s as half, ctid as place from %s where %s',
            o.layout_id, o.half, o.outbox, pgevents.in_window_sql(window_from, window_to)
        ),
        ' union all '
    )
    from pgevents.pending_outboxes() as o
$$;

revoke all on function pgevents.window_sql(pg_snapshot, pg_snapshot) from public;
