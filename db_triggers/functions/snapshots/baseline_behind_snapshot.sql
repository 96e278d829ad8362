-- Asks for a baseline of a table of which capture has just read a whole partition, where the transaction may
-- have seen that as it was and not as it is.
--
-- At REPEATABLE READ and SERIALIZABLE a transaction reads as of its first statement. TRUNCATE, ATTACH and
-- DETACH do not: they take rows that have come since, and leave those that have gone elsewhere. Capture runs
-- in that transaction and cannot see these. The drain can, and draws the floor, after the commit.
--
-- Nothing is asked for where nothing has committed since the snapshot. The caller holds a lock that keeps
-- writers off the partition: whoever wrote into it has ended, and its number is smaller than the one that a
-- subtransaction gets now. So the request is written in one, and taken back where it is not needed. No table
-- is read here: SERIALIZABLE would hold that against transactions that write into it.
create or replace function pgevents.baseline_behind_snapshot(captured_table_id integer, part regclass)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    asked constant text := format('pgevents.baseline_of_%s', captured_table_id);
    newest xid8;
begin
    if current_setting('transaction_isolation') in ('read committed', 'read uncommitted')
        or current_setting(asked, true) = '1' or pg_relation_size(part) = 0
    then
        return;
    end if;
    insert into pgevents.snapshot_request (table_id, kind, reason)
    values (captured_table_id, 'baseline', pgevents.old_snapshot_reason())
    returning pgevents.full_xid(xmin) into newest;
    if not pgevents.has_committed_unseen(newest) then
        raise sqlstate 'PGE01';
    end if;
    perform set_config(asked, '1', true);
exception
    when sqlstate 'PGE01' then
        null;
end
$$;

revoke all on function pgevents.baseline_behind_snapshot(integer, regclass) from public;
