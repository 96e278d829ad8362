-- Wakes the transform Lambda by the transport that pipeline.toml chose, and never fails the commit it runs in:
-- an error is counted, and the doorbell then stays quiet for half a minute, so that a function that is missing
-- or hangs costs one transaction its time-out (below) and not every one.
create or replace function pgevents.wake_drain()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    setting pgevents.setting;
    quiet_seconds constant bigint := 30;
    moment constant bigint := extract(epoch from clock_timestamp())::bigint;
begin
    if pg_sequence_last_value('pgevents.doorbell_muted_until') > moment then
        return;
    end if;
    select * into setting from pgevents.setting;
    perform nextval('pgevents.doorbell_rung');
    case setting.doorbell
        when 'invoke' then
            perform set_config('aws_lambda.connect_timeout_ms', '500', true);
            perform set_config('aws_lambda.request_timeout_ms', '1000', true);
            perform aws_lambda.invoke(
                setting.function_name, json_build_object('kind', 'doorbell', 'source', setting.source),
                setting.region, 'Event'
            );
        when 'notify' then
            -- NOTIFY is refused at PREPARE TRANSACTION, and the refusal could not be caught here.
            if current_query() !~* 'prepare\s+transaction' then
                perform pg_notify('pgevents_doorbell', setting.source);
            end if;
        else
            null;
    end case;
exception
    when others then
        perform nextval('pgevents.doorbell_failed');
        perform setval('pgevents.doorbell_muted_until', moment + quiet_seconds);
        raise log 'pgevents: the doorbell did not ring: % (%)', sqlerrm, sqlstate;
end
$$;

revoke all on function pgevents.wake_drain() from public;
