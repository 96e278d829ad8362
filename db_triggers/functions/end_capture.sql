-- Ends the capture of a table. What was captured before stays in the outbox until it has been applied.
--
-- reason   what an operator should read about it
create or replace function pgevents.end_capture(captured_table_id integer, reason text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    found_trigger record;
    event text;
begin
    for found_trigger in
        select pg_trigger.tgrelid::regclass as part, pg_trigger.tgname as name
        from pg_trigger
        inner join pg_proc on pg_proc.oid = pg_trigger.tgfoid
        where pg_proc.pronamespace = 'pgevents'::regnamespace
            and pg_proc.proname like format('capture\_%s\_%%', captured_table_id)
    loop
        execute format('drop trigger %I on %s', found_trigger.name, found_trigger.part);
    end loop;
    foreach event in array '{insert,update,delete,truncate,truncate_part}'::text [] loop
        execute format('drop function if exists pgevents.capture_%s_%s()', captured_table_id, event);
    end loop;
    update pgevents.layout set retired = true where table_id = captured_table_id and not retired;
    update pgevents.captured_table set ended = reason where table_id = captured_table_id;
end
$$;

revoke all on function pgevents.end_capture(integer, text) from public;
