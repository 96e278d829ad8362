-- Puts the capture triggers on a table and on each of its partitions, where they are not yet.
--
-- Their names sort before the application's own, so that of two triggers for one event capture runs first.
-- ENABLE ALWAYS: a session with session_replication_role = replica must not escape capture. A TRUNCATE of one
-- partition takes rows and not the table: its rows are captured as deletions before it happens.
create or replace function pgevents.attach_triggers(captured_table_id integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    captured pgevents.captured_table;
    part regclass;
    trigger_name text;
    event text;
begin
    select * into strict captured from pgevents.captured_table where table_id = captured_table_id;
    for part in
        select captured.relation::regclass
        union
        select relid from pg_partition_tree(captured.relation) where relid is not null
    loop
        foreach event in array '{INSERT,UPDATE,DELETE,TRUNCATE}'::text [] loop
            trigger_name := format('!pgevents_%s', lower(event));
            continue when exists (select from pg_trigger where tgrelid = part and tgname = trigger_name);
            execute pgevents.trigger_sql(captured, part, event);
            execute format('alter table %s enable always trigger %I', part, trigger_name);
        end loop;
    end loop;
end
$$;

revoke all on function pgevents.attach_triggers(integer) from public;
