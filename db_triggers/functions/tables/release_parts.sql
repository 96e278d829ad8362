-- Takes the capture triggers off every partition that is no longer one, and captures its rows as gone.
create or replace function pgevents.release_parts(captured_table_id integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    captured pgevents.captured_table;
    old record;
begin
    select * into strict captured from pgevents.captured_table where table_id = captured_table_id;
    for old in
        select t.part, array_agg(t.name) as names, c.relkind <> 'p' as is_leaf
        from pgevents.capture_triggers(captured_table_id) as t
        inner join pg_class as c on t.part = c.oid
        where t.part not in (select p.part from pgevents.table_parts(captured.relation) as p)
        group by t.part, c.relkind
    loop
        if old.is_leaf then
            perform pgevents.capture_part(captured, old.part, 'D');
        end if;
        perform pgevents.drop_triggers(old.part, old.names);
    end loop;
end
$$;

revoke all on function pgevents.release_parts(integer) from public;
