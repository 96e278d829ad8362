-- Makes a trigger if it is not there, and has it fire always.
create or replace function pgevents.ensure_trigger(relation regclass, trigger_name text, create_trigger text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (select from pg_trigger where tgrelid = relation and tgname = trigger_name) then
        execute create_trigger;
    end if;
    if exists (
        select from pg_trigger where tgrelid = relation and tgname = trigger_name and tgenabled <> 'A'
    ) then
        execute format('alter table %s enable always trigger %I', relation, trigger_name);
    end if;
end
$$;

revoke all on function pgevents.ensure_trigger(regclass, text, text) from public;
