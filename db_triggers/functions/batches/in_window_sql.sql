-- The condition on an outbox's rows for belonging to a window. The two comparisons spare most rows the two
-- calls.
create or replace function pgevents.in_window_sql(window_from pg_snapshot, window_to pg_snapshot)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'xid >= %L and xid < %L and pg_visible_in_snapshot(xid, %L) and not pg_visible_in_snapshot(xid, %L)',
        pg_snapshot_xmin(window_from), pg_snapshot_xmax(window_to), window_to, window_from
    )
$$;

revoke all on function pgevents.in_window_sql(pg_snapshot, pg_snapshot) from public;
