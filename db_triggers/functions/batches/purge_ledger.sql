-- Deletes what nobody needs any more from the ledger: batches that were applied, and letters that were
-- resolved, longer ago than asked. The newest batch stays, since windows begin where it ends; a letter stays
-- as long as the batch that it died in is not applied, which is read again without it.
--
-- keep      for how long
-- most      at most so many of each
-- returns   whether there may be more
create or replace function pgevents.purge_ledger(keep interval, most integer)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    old_batches bigint [];
    old_letters bigint [];
begin
    perform pg_advisory_xact_lock(1885828470, 1);
    old_letters := array(
        select l.dead_letter_id
        from pgevents.dead_letter as l
        where
            l.resolved_at < clock_timestamp() - keep
            and not exists (
                select from pgevents.batch as b
                where b.batch_id = l.batch_id and b.state in ('open', 'forwarded', 'held')
            )
        order by l.resolved_at
        limit most
    );
    delete from pgevents.dead_letter where dead_letter_id = any (old_letters);
    old_batches := array(
        select b.batch_id
        from pgevents.batch as b
        where
            b.state = 'applied' and b.applied_at < clock_timestamp() - keep
            and b.batch_id < (select max(newest.batch_id) from pgevents.batch as newest)
        order by b.applied_at
        limit most
    );
    delete from pgevents.batch_part where batch_id = any (old_batches);
    delete from pgevents.refused_event where batch_id = any (old_batches);
    with gone as (
        delete from pgevents.batch where batch_id = any (old_batches) returning events, kind
    )
    update pgevents.purged as p
    set
        batches = p.batches + cardinality(old_batches),
        events = p.events + (select coalesce(sum(g.events), 0) from gone as g where g.kind = 'window')
    where cardinality(old_batches) > 0;
    return greatest(cardinality(old_batches), cardinality(old_letters)) = most;
end
$$;

revoke all on function pgevents.purge_ledger(interval, integer) from public;
