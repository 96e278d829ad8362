-- How many of the events visible in a snapshot have not been applied yet, and of the dead letters that are
-- being sent again; none that is dead is counted.
create or replace function pgevents.unapplied_events(seen pg_snapshot)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    events constant text := pgevents.window_sql(pgevents.applied_through(), seen);
    unapplied bigint := 0;
begin
    if events is not null then
        execute format('select count(*) from (%s) as w', events) into unapplied;
    end if;
    return unapplied + (
        select count(*) from pgevents.dead_letter as l
        where l.resolved_at is null and l.replay_batch_id is not null
    );
end
$$;

revoke all on function pgevents.unapplied_events(pg_snapshot) from public;
