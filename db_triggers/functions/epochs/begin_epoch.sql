-- Begins a new epoch: whatever happens from now on is later than everything that targets hold of this source,
-- and every captured table is sent to them once more.
--
-- Targets may hold changes of a history that this database no longer has, and these have higher numbers than
-- what it will do next. So the epoch, which is the upper part of every version, grows.
--
-- reason        what an operator should read about it
-- first_batch   the first batch that was opened after the restore, where one is known: what is unfinished
--               from there on belongs to the new epoch. Earlier batches keep theirs: sinks know them by it
-- of_epoch      the epoch in which the reason was found. When another one has begun since, the batches move
--               to it, and no further one begins
-- returns       the epoch that holds now
create or replace function pgevents.begin_epoch(
    reason text, first_batch bigint, of_epoch integer default null
)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    present_epoch integer;
    found_in integer := of_epoch;
begin
    perform pg_advisory_xact_lock(1885828470, 1);
    perform pgevents.keep_identity();
    select s.epoch into strict present_epoch from pgevents.setting as s;
    if found_in is null then
        found_in := (select b.epoch from pgevents.batch as b where b.batch_id = first_batch);
    end if;
    if found_in is null or found_in >= present_epoch then
        -- A sink may have seen more epochs than this database remembers.
        update pgevents.setting as s set epoch = greatest(s.epoch, found_in) + 1
        returning s.epoch into present_epoch;
        perform pgevents.enter_epoch(present_epoch, reason);
    end if;
    update pgevents.batch as b
    set epoch = present_epoch, state = 'open'
    where b.batch_id >= first_batch and b.epoch < present_epoch and b.state not in ('applied', 'dead');
    return present_epoch;
end
$$;

revoke all on function pgevents.begin_epoch(text, bigint, integer) from public;
