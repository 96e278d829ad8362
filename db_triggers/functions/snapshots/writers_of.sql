-- The transactions that hold a writer's lock on a captured table or on a partition of it, and have a number.
--
-- One that has none has written nothing yet. Prepared transactions are among them. By their numbers and not
-- by their sessions, since a prepared transaction survives a restart of the server under another name. All
-- locks are read once: one that is prepared between two readings would have another name in each. An open
-- ATTACH PARTITION counts, which has captured the partition's rows: of the table itself it has no more than
-- what ANALYZE takes too.
create or replace function pgevents.writers_of(relation oid)
returns xid8[]
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with locks as materialized (select * from pg_locks)

    select coalesce(array_agg(distinct pgevents.full_xid(own.transactionid)), '{}')
    from locks as held
    inner join locks as own
        on held.virtualtransaction = own.virtualtransaction and held.pid is not distinct from own.pid
    where held.granted and held.locktype = 'relation'
        and held.database = (select d.oid from pg_database as d where d.datname = current_database())
        and held.relation in (select p.part from pgevents.table_parts(writers_of.relation) as p)
        and held.mode in (
            'RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
            'AccessExclusiveLock'
        )
        and own.granted and own.locktype = 'transactionid' and own.mode = 'ExclusiveLock'
$$;

revoke all on function pgevents.writers_of(oid) from public;
