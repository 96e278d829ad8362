-- Sends again the letters that were never tried and have nothing before them any more: what they waited
-- behind has been discarded, or was replayed while they died.
--
-- batch_events   the size of a batch
-- asked_by, why  as in pgevents.replay
-- returns        how many letters will be sent again
create or replace function pgevents.replay_waiting(batch_events integer, asked_by text, why text)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    free bigint [];
    sent bigint := 0;
begin
    perform pg_advisory_xact_lock(1885828470, 1);
    free := array(
        select l.dead_letter_id
        from pgevents.dead_letter as l
        where
            l.waits and l.resolved_at is null and l.replay_batch_id is null
            and not exists (
                select from pgevents.dead_key as mine
                -- Each by itself: a row may have very many.
                cross join lateral (
                    select from pgevents.dead_key as earlier
                    where
                        earlier.table_name = mine.table_name and earlier.key_hash = mine.key_hash
                        and earlier.key = mine.key and earlier.version < mine.version
                    limit 1
                ) as before_it
                where mine.dead_letter_id = l.dead_letter_id
            )
    );
    if cardinality(free) > 0 then
        select coalesce(sum(b.events), 0) into sent
        from pgevents.replay(free, batch_events, asked_by, why) as b;
    end if;
    return sent;
end
$$;

revoke all on function pgevents.replay_waiting(integer, text, text) from public;
