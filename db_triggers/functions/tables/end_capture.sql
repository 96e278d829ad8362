-- Ends the capture of a table. What was captured before stays in the outbox until it has been applied.
--
-- reason   what an operator should read about it
create or replace function pgevents.end_capture(captured_table_id integer, reason text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    event text;
begin
    perform pgevents.drop_triggers(t.part, array_agg(t.name))
    from pgevents.capture_triggers(captured_table_id) as t group by t.part;
    foreach event in array pgevents.capture_events() loop
        execute format('drop function if exists pgevents.capture_%s_%s()', captured_table_id, lower(event));
    end loop;
    update pgevents.layout set retired = true where table_id = captured_table_id and not retired;
    update pgevents.captured_table set ended = reason where table_id = captured_table_id;
end
$$;

revoke all on function pgevents.end_capture(integer, text) from public;
