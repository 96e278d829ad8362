-- The transactions that have rung and not ended: those between their doorbell and their commit.
--
-- A writer takes its lock (see ring) before it tries the drain's. One that was refused by a drain that has
-- let go of its lock since is therefore among these, or visible to every later snapshot: a transaction
-- becomes visible before it lets go of its locks.
--
-- returns   session      the session that rang
--           transaction  its transaction, another one after PREPARE TRANSACTION
--           prepared     whether it was prepared, and may take for ever
create or replace function pgevents.committing()
returns table (session integer, transaction text, prepared boolean)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select l.objid::bigint::integer, l.virtualtransaction, l.pid is null
    from pg_locks as l
    inner join pg_database as d on l.database = d.oid
    where l.locktype = 'advisory' and l.classid = 1885828472 and l.objsubid = 2 and d.datname = current_database()
$$;

revoke all on function pgevents.committing() from public;
