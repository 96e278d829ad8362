-- Begins a new epoch if this database was restored or replaced. The drain asks first of all, under its lock.
--
-- returns   the reason for the new epoch, or null when there was none
create or replace function pgevents.renew_epoch()
returns text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    reason text;
begin
    perform pg_advisory_xact_lock(1885828470, 1);
    perform pgevents.keep_identity();
    reason := pgevents.restoration();
    if reason is not null then
        perform pgevents.begin_epoch(reason, null);
    end if;
    return reason;
end
$$;

revoke all on function pgevents.renew_epoch() from public;
