-- Whether any transaction that has an older id than this one is running still.
--
-- A writer asks for the drain's lock just before it commits. One that was refused while the drain was about
-- to end has its id by then, and so an older one than the drain that takes one after it has released the
-- lock: once all the older ones have finished, one more look finds its events. A snapshot's list of running
-- transactions would not do for this: those that are younger than the last one to finish are not in it.
create or replace function pgevents.still_running(older_than xid8)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select pg_snapshot_xmin(pg_current_snapshot()) < older_than
$$;

revoke all on function pgevents.still_running(xid8) from public;
