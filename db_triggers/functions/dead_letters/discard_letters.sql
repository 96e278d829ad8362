-- Gives dead letters up: they are kept as discarded, and what waited behind them is sent again.
--
-- letters        which ones; those that are resolved or are being sent again are left as they are
-- batch_events   the size of a batch of what is sent again
-- asked_by, why  who and why, noted in the letters
-- returns        how many were discarded, and how many others will be sent again
create or replace function pgevents.discard_letters(
    letters bigint[], batch_events integer, asked_by text, why text
)
returns table (discarded bigint, sent_again bigint)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_advisory_xact_lock(1885828470, 1);
    with gone as (
        update pgevents.dead_letter as l
        set
            resolved_at = clock_timestamp(), resolution = 'discarded', resolved_by = asked_by,
            resolved_reason = why
        where l.dead_letter_id = any (letters) and l.resolved_at is null and l.replay_batch_id is null
        returning l.dead_letter_id
    ), released as (
        delete from pgevents.dead_key as d using gone where d.dead_letter_id = gone.dead_letter_id
    )
    select count(*) into discarded from gone;
    sent_again := pgevents.replay_waiting(
        batch_events, asked_by, 'what it waited behind was discarded'
    );
    return next;
end
$$;

revoke all on function pgevents.discard_letters(bigint[], integer, text, text) from public;
