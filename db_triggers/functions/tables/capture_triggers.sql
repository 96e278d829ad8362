-- The capture triggers of a table that there are, on whatever relation; but not those that a partition has
-- from the one on its root, with which they come and go.
create or replace function pgevents.capture_triggers(captured_table_id integer)
returns table (part regclass, name text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select pg_trigger.tgrelid, pg_trigger.tgname
    from pg_trigger
    inner join pg_proc on pg_proc.oid = pg_trigger.tgfoid
    where pg_proc.pronamespace = 'pgevents'::regnamespace and pg_trigger.tgparentid = 0
        and pg_proc.proname like format('capture\_%s\_%%', captured_table_id)
$$;

revoke all on function pgevents.capture_triggers(integer) from public;
