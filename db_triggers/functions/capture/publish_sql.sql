-- The statement that sends a statement's events to every LISTEN client of the channel pgevents_events.
--
-- A message is {"event_type", "payload", "source"}. Only for tables with publish = true: it costs writers
-- most of their rate, since a transaction that notifies holds a lock over its commit; and PostgreSQL refuses
-- to prepare such a transaction (PREPARE TRANSACTION), and sends two equal messages of one transaction once.
create or replace function pgevents.publish_sql(captured pgevents.captured_table, event text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        format('perform pgevents.publish(%L, %L, %L, ', event, captured.name, captured.key::text)
        || case event
            when 'TRUNCATE' then 'null)'
            else format(
                'pg_catalog.to_jsonb(published)) from (select %s from %s) as published',
                pgevents.values_sql(captured, sent.row_name, '%1$s as %3$I', false), sent.relation
            )
        end
    from (
        select
            case event when 'DELETE' then 'o' else 'n' end,
            case event when 'DELETE' then 'old_rows as o' else 'new_rows as n' end
    ) as sent (row_name, relation)
$$;

revoke all on function pgevents.publish_sql(pgevents.captured_table, text) from public;
