-- Event trigger: after the owner has changed a captured table, capture follows in the same transaction.
--
-- A new or retyped column is captured from that moment on, a dropped one no longer; a partition that comes or
-- goes brings or takes its rows.
create or replace function pgevents.follow_ddl()
returns event_trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform pgevents.follow(c)
    from pgevents.captured_table as c
    where c.ended is null and exists (
        select from pg_event_trigger_ddl_commands() as command
        where command.objid = c.relation
            or c.relation in (select relid from pg_partition_ancestors(command.objid))
            or command.objid = (select relnamespace from pg_class where oid = c.relation)
    );
end
$$;

revoke all on function pgevents.follow_ddl() from public;
