-- Whether any transaction that was running in a snapshot is running still.
--
-- A writer asks for the drain's lock just before it commits. One that was refused while the drain was about
-- to end is in the snapshot taken after the lock was released: once it has finished, one more look finds its
-- events.
create or replace function pgevents.still_running(earlier pg_snapshot)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from pg_snapshot_xip(earlier) as running (xid)
        where not pg_visible_in_snapshot(running.xid, pg_current_snapshot())
    )
$$;

revoke all on function pgevents.still_running(pg_snapshot) from public;
