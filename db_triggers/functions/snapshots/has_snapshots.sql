-- Whether a request for a snapshot can be moved forward now; see advance_snapshots.
--
-- most_held   none is while so many batches wait for a sink: the outbox keeps all that they hold
create or replace function pgevents.has_snapshots(most_held integer)
returns boolean
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from pgevents.snapshot_request as r
        where r.state in ('waiting', 'running') and not pgevents.is_any_running(r.waits_for)
    ) and (
        select count(*) from (select from pgevents.batch as b where b.state = 'held' limit most_held) as held
    ) < most_held
$$;

revoke all on function pgevents.has_snapshots(integer) from public;
