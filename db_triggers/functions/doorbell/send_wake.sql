-- Sends the hint that there is something to drain, by the transport that pipeline.toml chose; nothing while
-- the source is paused.
--
-- raises   whatever the transport raises
create or replace function pgevents.send_wake(setting pgevents.setting)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    calling_seconds constant bigint := 3;
begin
    if exists (select from pgevents.paused as p where p.what = 'source') then
        return;
    end if;
    case setting.doorbell
        when 'invoke' then
            -- Of many sessions that commit while the Lambda service hangs, one waits for it; the others are
            -- silent for as long. They hold their locks (see ring): the drain that is called looks at them.
            perform setval(
                'pgevents.doorbell_muted_until', extract(epoch from clock_timestamp())::bigint + calling_seconds
            );
            perform set_config('aws_lambda.connect_timeout_ms', '500', true);
            perform set_config('aws_lambda.request_timeout_ms', '1000', true);
            perform aws_lambda.invoke(
                setting.function_name, json_build_object('kind', 'doorbell', 'source', setting.source),
                setting.region, 'Event'
            );
            perform setval('pgevents.doorbell_muted_until', 0);
        when 'notify' then
            -- What NOTIFY refuses at PREPARE TRANSACTION, or with a full queue, it refuses later than could
            -- be caught here. A statement with parameters commits when its text is gone already.
            if coalesce(current_query(), '') !~* 'prepare.*transaction'
                and pg_notification_queue_usage() < 0.5 then
                perform pg_notify('pgevents_doorbell', setting.source);
            end if;
        else
            null;
    end case;
end
$$;

revoke all on function pgevents.send_wake(pgevents.setting) from public;
