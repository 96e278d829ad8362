-- Puts the capture triggers on a table and on each of its partitions, where they are not yet.
--
-- with_rows   whether the rows of a partition that is new are captured too, as snapshots
--
-- ENABLE ALWAYS: a session with session_replication_role = replica must not escape capture, and neither must
-- a bulk load between DISABLE TRIGGER and ENABLE TRIGGER.
create or replace function pgevents.attach_triggers(captured_table_id integer, with_rows boolean)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    captured pgevents.captured_table;
    each_part record;
    is_new boolean;
    event text;
    create_trigger text;
begin
    select * into strict captured from pgevents.captured_table where table_id = captured_table_id;
    for each_part in select p.part, p.is_leaf from pgevents.table_parts(captured.relation) as p loop
        is_new := not exists (
            select from pg_trigger where tgrelid = each_part.part and tgname = '!pgevents_insert'
        );
        foreach event in array pgevents.capture_events() loop
            create_trigger := pgevents.trigger_sql(captured, each_part.part, each_part.is_leaf, event);
            continue when create_trigger is null;
            perform pgevents.ensure_trigger(each_part.part, '!pgevents_' || lower(event), create_trigger);
        end loop;
        if is_new and with_rows and each_part.is_leaf and each_part.part <> captured.relation then
            perform pgevents.capture_part(captured, each_part.part, 'S');
        end if;
    end loop;
end
$$;

revoke all on function pgevents.attach_triggers(integer, boolean) from public;
