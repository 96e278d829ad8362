-- Why this database must have been restored or replaced since its epoch began, or null.
--
-- A copy of the files that goes on where the original stood cannot be told from inside: there the sinks tell,
-- who hold batches that the ledger does not know.
create or replace function pgevents.restoration()
returns text
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select case
        when i.system_identifier <> e.system_identifier
            then format('another server: system identifier %s, was %s', i.system_identifier, e.system_identifier)
        when i.timeline <> e.timeline
            then format('a promotion or a restore: timeline %s, was %s', i.timeline, e.timeline)
        when i.database_oid <> e.database_oid or i.ledger_oid <> e.ledger_oid
            then 'the database was created anew from a copy'
        when ledger.seq > drawn.seq
            then format(
                'the ledger is ahead of the sequence: an event has number %s, the last one drawn is %s',
                ledger.seq, drawn.seq
            )
        when pg_snapshot_xmax(pgevents.last_window()) > pg_snapshot_xmax(pg_current_snapshot())
            then format(
                'transaction numbers have started anew: the ledger is at %s, the database at %s',
                pg_snapshot_xmax(pgevents.last_window()), pg_snapshot_xmax(pg_current_snapshot())
            )
    end
    from pgevents.epoch as e
    cross join pgevents.source_identity() as i
    cross join (select coalesce(pg_sequence_last_value('pgevents.event_seq'), 0)) as drawn (seq)
    cross join (
        select max(b.seq_to) from (select * from pgevents.batch order by batch_id desc limit 100) as b
    ) as ledger (seq)
    where e.epoch = (select max(latest.epoch) from pgevents.epoch as latest)
$$;

revoke all on function pgevents.restoration() from public;
