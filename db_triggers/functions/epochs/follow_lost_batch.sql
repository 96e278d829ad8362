-- Begins a new epoch for a batch that a sink holds and this database has lost, unless one has begun since.
--
-- returns   the reason for the new epoch, or null when there was none
create or replace function pgevents.follow_lost_batch(lost pgevents.lost_batch)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    reason constant text := format(
        'a restore to an earlier state: sink %s holds batch %s of epoch %s, which the ledger does not',
        lost.sink, lost.batch_id, lost.epoch
    );
    earlier constant integer := (select s.epoch from pgevents.setting as s);
begin
    if pgevents.begin_epoch(reason, lost.first_batch, lost.epoch) > earlier then
        return reason;
    end if;
    return null;
end
$$;

revoke all on function pgevents.follow_lost_batch(pgevents.lost_batch) from public;
