-- Which database this is and was, and the requests to send rows that are there already.

create table pgevents.epoch (
    epoch integer primary key,
    began_at timestamptz not null default clock_timestamp(),
    reason text not null,
    system_identifier bigint,
    timeline integer,
    database_oid oid not null,
    ledger_oid oid not null,
    window_from pg_snapshot
);

comment on table pgevents.epoch is
'One row an epoch. The newest says which database this was: where it is another one now, it was restored.';
comment on column pgevents.epoch.system_identifier is
'Of the server, as initdb made it; null where the drain may not ask for it.';
comment on column pgevents.epoch.timeline is
'Grows when a standby is promoted and when a backup is restored to a point in time; null as above.';
comment on column pgevents.epoch.database_oid is 'Another one in a database that was created anew.';
comment on column pgevents.epoch.ledger_oid is
'The oid of pgevents.batch: another one in a logical copy, whose transaction numbers started anew.';
comment on column pgevents.epoch.window_from is
'Where windows started anew, because transaction numbers did; null where they went on.';

create table pgevents.lost_batch (
    sink text not null,
    epoch integer not null,
    batch_id bigint not null,
    opened_at timestamptz,
    first_batch bigint,
    noted_at timestamptz not null default clock_timestamp(),
    constraint lost_batch_once primary key (sink, epoch, batch_id)
);

comment on table pgevents.lost_batch is
'Batches that a sink holds and the ledger does not: the database was restored; the next drain acts on it.';
comment on column pgevents.lost_batch.first_batch is
'The batch of the ledger that has the same number, and so was opened after the restore; null where none has.';

create table pgevents.snapshot_request (
    request_id bigint generated always as identity primary key,
    table_id integer not null references pgevents.captured_table (table_id),
    kind text not null,
    keys json,
    reason text not null,
    state text not null default 'waiting',
    error text,
    requested_at timestamptz not null default clock_timestamp(),
    started_at timestamptz,
    finished_at timestamptz,
    row_count bigint not null default 0,
    expected_rows bigint,
    floor_seq bigint,
    part oid,
    part_file oid,
    place tid,
    keys_taken integer not null default 0,
    chunk bigint[],
    waits_for xid8[],
    constraint snapshot_request_kind_is_known check (kind in ('backfill', 'baseline', 'repair')),
    constraint snapshot_request_has_keys_to_repair check (kind <> 'repair' or keys is not null),
    constraint snapshot_request_state_is_known check (state in ('waiting', 'running', 'finished', 'failed')),
    constraint snapshot_request_ended_has_time check (
        (state in ('finished', 'failed')) = (finished_at is not null)
    ),
    constraint snapshot_request_failed_has_error check ((state = 'failed') = (error is not null))
);

create index snapshot_request_unfinished on pgevents.snapshot_request (request_id)
where state in ('waiting', 'running');

comment on table pgevents.snapshot_request is
'Requests to send the rows of a table through the outbox, which the drain moves forward chunk by chunk.';
comment on column pgevents.snapshot_request.kind is
'backfill: every row. baseline: every row, and then what was older than the request goes from the targets.'
' repair: the rows of some keys; a key without a row is deleted.';
comment on column pgevents.snapshot_request.keys is
'What to repair: an array of objects, each of the key''s columns and their values as text.';
comment on column pgevents.snapshot_request.row_count is 'The events written so far.';
comment on column pgevents.snapshot_request.expected_rows is
'What the planner took the table to have when the request started; null where it did not know.';
comment on column pgevents.snapshot_request.floor_seq is
'Of a baseline: what is older in the targets when all rows have been sent is not in the table.';
comment on column pgevents.snapshot_request.part is 'The partition, or the table, that is being read.';
comment on column pgevents.snapshot_request.part_file is
'Its file: a table that has been rewritten in the meantime is read from its start.';
comment on column pgevents.snapshot_request.place is
'Where the last row lay that was sent. A row that moves past it was changed and has an event of its own.';
comment on column pgevents.snapshot_request.chunk is
'The numbers that the events of the next chunk will have.';
comment on column pgevents.snapshot_request.waits_for is
'Transactions that could have drawn a smaller number for an event of the table: they have to end first.';

-- Rung by a request as by an event. The trigger needs the function; with what it does it follows this file.
create or replace function pgevents.ring()
returns trigger
language plpgsql
as $$
begin
    return null;
end
$$;

create constraint trigger ring after insert on pgevents.snapshot_request
deferrable initially deferred for each row
when (
    pg_catalog.current_setting('pgevents.rung', true) is distinct from '1'
    and pg_catalog.set_config('pgevents.rung', '1', true) is not null
)
execute function pgevents.ring();

alter table pgevents.snapshot_request enable always trigger ring;
