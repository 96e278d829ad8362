-- Whether the ledger or the outbox know transactions that this database has not come to yet: in a logical
-- copy their numbers start anew.
create or replace function pgevents.is_ahead_of_xids()
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    next_xid constant xid8 := pg_snapshot_xmax(pg_current_snapshot());
    outbox regclass;
    is_ahead boolean := pg_snapshot_xmax(pgevents.last_window()) > next_xid;
begin
    for outbox in select o.outbox from pgevents.pending_outboxes() as o loop
        exit when is_ahead;
        execute format('select exists (select from %s where xid >= %L)', outbox, next_xid) into is_ahead;
    end loop;
    return is_ahead;
end
$$;

revoke all on function pgevents.is_ahead_of_xids() from public;
