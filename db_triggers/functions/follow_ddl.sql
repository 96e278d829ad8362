-- Event trigger: after the owner has changed a captured table, capture follows in the same transaction.
--
-- A new or retyped column is captured from that moment on, a dropped one no longer. Where capture cannot follow
-- (the key is gone) it ends, with a warning and a line in pgevents.captured_table: it never stands in the way.
create or replace function pgevents.follow_ddl()
returns event_trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    captured pgevents.captured_table;
begin
    for captured in
        select distinct c.*
        from pgevents.captured_table as c
        inner join pg_event_trigger_ddl_commands() as command
            on command.objid = c.relation or command.objid in (select relid from pg_partition_tree(c.relation))
        where c.ended is null and command.classid = 'pg_class'::regclass
    loop
        begin
            if pgevents.outbox_differs(captured) then
                perform pgevents.build_layout(captured.table_id);
            end if;
            perform pgevents.attach_triggers(captured.table_id);
        exception when others then
            perform pgevents.end_capture(captured.table_id, sqlerrm);
            raise warning 'pgevents: capture of % has ended: %', captured.name, sqlerrm;
        end;
    end loop;
end
$$;

revoke all on function pgevents.follow_ddl() from public;
