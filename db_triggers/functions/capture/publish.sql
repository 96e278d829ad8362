-- Sends one event to the LISTEN clients of the channel pgevents_events; see publish_sql.
--
-- A message that pg_notify would refuse for its length becomes a pointer, {"event_type", "source", "key"};
-- without the key if even that is too long. Nothing is sent while a client leaves the queue of notifications
-- half full: once it is full, every commit that notifies would fail.
create or replace function pgevents.publish(event_type text, table_name text, key text[], payload jsonb)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    too_long constant integer := 8000;
    full_source constant text := (select s.source || '.' || table_name from pgevents.setting as s);
    message text := json_build_object('event_type', event_type, 'payload', payload, 'source', full_source);
begin
    if octet_length(message) >= too_long then
        message := json_build_object(
            'event_type', event_type, 'source', full_source,
            'key', (select jsonb_object_agg(k.name, payload -> k.name) from unnest(key) as k (name))
        );
    end if;
    if octet_length(message) >= too_long then
        message := json_build_object('event_type', event_type, 'source', full_source);
    end if;
    if pg_notification_queue_usage() < 0.5 then
        perform pg_notify('pgevents_events', message);
    end if;
end
$$;

revoke all on function pgevents.publish(text, text, text[], jsonb) from public;
