-- Takes some triggers off a table.
create or replace function pgevents.drop_triggers(relation regclass, names text[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    name text;
begin
    foreach name in array names loop
        execute format('drop trigger %I on %s', name, relation);
    end loop;
end
$$;

revoke all on function pgevents.drop_triggers(regclass, text[]) from public;
