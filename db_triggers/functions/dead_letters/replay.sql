-- Sends dead letters again: puts them, and every other letter that waits for the same rows, into batches of
-- the ledger, oldest first. The drain takes those before anything new. The events keep their versions.
--
-- letters        which ones; see letters_together for those that are left out
-- batch_events   the most events of a batch; it has eight megabytes of them at most, and one event more
-- asked_by, why  noted in the ledger and, when the batch is applied, in the letters
-- returns        the batches: their number and how many events each has
create or replace function pgevents.replay(letters bigint[], batch_events integer, asked_by text, why text)
returns table (batch_id bigint, events bigint)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    batch_bytes constant bigint := 8 * 1024 * 1024;
    latest pg_snapshot;
begin
    -- The lock of open_batches: the last window must not change meanwhile. And of two operators who ask for the
    -- same letters at once, the second finds them taken.
    perform pg_advisory_xact_lock(1885828470, 1);
    latest := pgevents.last_window();
    return query
    with numbered as (
        select
            l.dead_letter_id, l.epoch, l.seq,
            (row_number() over along - 1) / batch_events as by_events,
            sum(octet_length(l.event::text)) over along / batch_bytes as by_bytes
        from pgevents.letters_together(letters) as together (dead_letter_id)
        inner join pgevents.dead_letter as l on l.dead_letter_id = together.dead_letter_id
        window along as (partition by l.epoch order by l.seq rows unbounded preceding)
    ), opened as (
        insert into pgevents.batch (
            kind, epoch, replay_epoch, window_from, window_to, seq_from, seq_to, events,
            first_captured_at, last_captured_at, requested_by, reason
        )
        select
            'replay', s.epoch, n.epoch, latest, latest, min(n.seq), max(n.seq), count(*),
            clock_timestamp(), clock_timestamp(), asked_by, why
        from numbered as n
        cross join pgevents.setting as s
        group by s.epoch, n.epoch, n.by_events, n.by_bytes
        order by n.epoch, n.by_events, n.by_bytes
        returning batch_id, replay_epoch, seq_from, seq_to, events
    ), sent as (
        update pgevents.dead_letter as l
        set replay_batch_id = o.batch_id
        from numbered as n
        inner join opened as o on n.epoch = o.replay_epoch and n.seq between o.seq_from and o.seq_to
        where l.dead_letter_id = n.dead_letter_id
    )
    select o.batch_id, o.events from opened as o order by o.batch_id;
end
$$;

revoke all on function pgevents.replay(bigint[], integer, text, text) from public;
