-- Event trigger: after something was dropped that a captured table is, has or has as a part.
--
-- A column may be dropped without any ALTER TABLE, together with its type. The rows of a dropped partition
-- are gone by the time that PostgreSQL says so: all that can be done is to report it.
create or replace function pgevents.follow_drop()
returns event_trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    captured pgevents.captured_table;
    partition_name text;
    was_dropped boolean := false;
begin
    for captured in
        select c.* from pgevents.captured_table as c
        where c.ended is null and c.relation in (
            select objid from pg_event_trigger_dropped_objects() where classid = 'pg_class'::regclass
        )
    loop
        if exists (select from pg_class where oid = captured.relation) then
            perform pgevents.follow(captured);
        else
            perform pgevents.end_capture(captured.table_id, 'the table was dropped');
            raise warning 'pgevents: capture of % has ended: the table was dropped', captured.name;
            was_dropped := true;
        end if;
    end loop;
    for partition_name in
        select part.object_identity
        from pg_event_trigger_dropped_objects() as part
        inner join pg_event_trigger_dropped_objects() as part_trigger
            on part_trigger.address_names[:2] = part.address_names and part_trigger.object_type = 'trigger'
        where part.object_type = 'table' and not was_dropped
            and part_trigger.address_names[3] = '!pgevents_insert'
    loop
        raise warning 'pgevents: % was dropped as a partition of a captured table', partition_name
            using
                detail = 'Its rows went without events.',
                hint = 'Detach a partition before you drop it, or reconcile.';
    end loop;
end
$$;

revoke all on function pgevents.follow_drop() from public;
