-- Wakes the transform Lambda by the transport that pipeline.toml chose, and never fails the commit it runs
-- in: an error is counted, and the doorbell then stays quiet for half a minute, so that a function that is
-- missing or hangs costs one transaction its time-out (in send_wake) and not every one. A clock that was set
-- back makes that no longer.
--
-- A cancel request, too, may come while the Lambda service is slow to answer, and even after that, while its
-- error is being handled: hence the second block.
create or replace function pgevents.wake_drain()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '500ms'
as $$
declare
    quiet_seconds constant bigint := 30;
    moment constant bigint := extract(epoch from clock_timestamp())::bigint;
begin
    if pg_sequence_last_value('pgevents.doorbell_muted_until') between moment + 1 and moment + quiet_seconds then
        return;
    end if;
    begin
        perform nextval('pgevents.doorbell_rung');
        perform pgevents.send_wake(s) from pgevents.setting as s;
    exception
        when query_canceled or others then
            perform nextval('pgevents.doorbell_failed');
            perform setval('pgevents.doorbell_muted_until', moment + quiet_seconds);
            raise log 'pgevents: the doorbell did not ring: % (%)', sqlerrm, sqlstate;
    end;
exception
    when query_canceled or others then
        null;
end
$$;

revoke all on function pgevents.wake_drain() from public;
