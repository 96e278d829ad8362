-- Whether any of these transactions is running still, or prepared.
create or replace function pgevents.is_any_running(xids xid8[])
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from unnest(xids) as noted (xid) where pg_xact_status(noted.xid) = 'in progress'
    )
$$;

revoke all on function pgevents.is_any_running(xid8[]) from public;
