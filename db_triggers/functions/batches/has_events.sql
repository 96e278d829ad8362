-- Whether anything has committed that is in no batch yet.
create or replace function pgevents.has_events()
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    events constant text := pgevents.window_sql(pgevents.last_window(), pg_current_snapshot());
    found_any boolean := false;
begin
    if events is not null then
        execute format('select exists (%s)', events) into found_any;
    end if;
    return found_any;
end
$$;

revoke all on function pgevents.has_events() from public;
