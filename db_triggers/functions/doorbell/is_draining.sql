-- Whether a drain is awake: it holds the lock for itself, a writer that looks for it shares it for a moment.
create or replace function pgevents.is_draining()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from pg_locks as l
        inner join pg_database as d on l.database = d.oid
        where
            l.locktype = 'advisory' and l.classid = 1885828470 and l.objid = 0 and l.objsubid = 2
            and l.mode = 'ExclusiveLock' and l.granted and d.datname = current_database()
    )
$$;

revoke all on function pgevents.is_draining() from public;
