-- How many of the events visible in a snapshot have not been applied yet; none that is dead is counted.
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
    return unapplied;
end
$$;

revoke all on function pgevents.unapplied_events(pg_snapshot) from public;
