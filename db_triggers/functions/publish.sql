-- Sends one event to the LISTEN clients of the channel pgevents_events; see publish_sql.
create or replace function pgevents.publish(event_type text, table_name text, key text [], payload jsonb)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    full_source constant text := (select s.source || '.' || table_name from pgevents.setting as s);
    message text := json_build_object('event_type', event_type, 'payload', payload, 'source', full_source);
begin
    if octet_length(message) >= 8000 then
        message := json_build_object(
            'event_type', event_type, 'source', full_source,
            'key', (select jsonb_object_agg(k.name, payload -> k.name) from unnest(key) as k (name))
        );
    end if;
    perform pg_notify('pgevents_events', message);
end
$$;

revoke all on function pgevents.publish(text, text, text [], jsonb) from public;
