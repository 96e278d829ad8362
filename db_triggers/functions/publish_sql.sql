-- The statement that sends a statement's events to every LISTEN client of the channel pgevents_events.
--
-- A message is {"event_type", "payload", "source"}; one of 8,000 bytes or more would be refused by pg_notify and
-- becomes a pointer, {"event_type", "key", "source"}. Only for tables with publish = true: it costs writers most
-- of their rate, since a transaction that notifies holds a lock over its commit.
create or replace function pgevents.publish_sql(captured pgevents.captured_table, event text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'perform pgevents.publish(%L, %L, %L::text[], to_jsonb(n) - %L::text[]) from %s as n',
        event, captured.name, captured.key, captured.exclude,
        case event when 'DELETE' then 'old_rows' else 'new_rows' end
    )
$$;

revoke all on function pgevents.publish_sql(pgevents.captured_table, text) from public;
