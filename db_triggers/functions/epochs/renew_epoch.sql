-- Begins a new epoch if this database was restored or replaced. The drain asks first of all, under its lock,
-- and again when a sink has told it of a lost batch.
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
    lost pgevents.lost_batch;
begin
    perform pg_advisory_xact_lock(1885828470, 1);
    perform pgevents.keep_identity();
    reason := pgevents.restoration();
    if reason is not null then
        perform pgevents.begin_epoch(reason, null);
    end if;
    for lost in select * from pgevents.lost_batch order by epoch desc, batch_id loop
        reason := concat_ws('; ', reason, pgevents.follow_lost_batch(lost));
    end loop;
    delete from pgevents.lost_batch;
    return reason;
end
$$;

revoke all on function pgevents.renew_epoch() from public;
