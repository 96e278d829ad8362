-- Lets letters wait again whose replay will never come about: its batch is dead, or gone from the ledger.
create or replace function pgevents.reclaim_letters()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    lost record;
begin
    perform pg_advisory_xact_lock(1885828470, 1);
    for lost in
        with back as (
            update pgevents.dead_letter as l
            set replay_batch_id = null
            where
                l.resolved_at is null and l.replay_batch_id is not null
                and not exists (
                    select from pgevents.batch as b
                    where b.batch_id = l.replay_batch_id and b.state in ('open', 'forwarded', 'held')
                )
            returning l.epoch, l.seq
        )
        select b.epoch, array_agg(b.seq) as seqs from back as b group by b.epoch
    loop
        perform pgevents.hold_keys(lost.epoch, lost.seqs);
    end loop;
end
$$;

revoke all on function pgevents.reclaim_letters() from public;
