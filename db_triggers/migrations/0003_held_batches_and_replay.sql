-- Sinks and sources that are paused, batches that wait for a sink, and dead letters that are sent again.

create table pgevents.paused (
    what text primary key,
    paused_at timestamptz not null default clock_timestamp(),
    paused_by text not null default '',
    reason text not null default ''
);

comment on table pgevents.paused is
'What an operator has paused: the word source, or the name of a sink. No row, no pause.';

alter table pgevents.batch
add column kind text not null default 'window',
add column held_for text[] not null default '{}',
add column confirmed_epoch integer,
add column last_error text not null default '',
add column replay_epoch integer,
add column requested_by text not null default '',
add column reason text not null default '',
drop constraint batch_state_is_known,
add constraint batch_state_is_known
check (state in ('open', 'forwarded', 'held', 'applied', 'dead')),
add constraint batch_kind_is_known check (kind in ('window', 'replay')),
add constraint batch_held_is_for_a_sink check (state <> 'held' or cardinality(held_for) > 0),
add constraint batch_replay_has_epoch check ((kind = 'replay') = (replay_epoch is not null));

comment on column pgevents.batch.kind is
'window: events of the outbox. replay: dead letters sent again, read from pgevents.dead_letter.';
comment on column pgevents.batch.held_for is
'The sinks that a held batch waits for, paused or failing; all the others have it.';
comment on column pgevents.batch.confirmed_epoch is
'The epoch under which the writer confirmed that Redshift has the batch; null until then.';
comment on column pgevents.batch.last_error is 'Why it was not taken whole the last time it was tried.';
comment on column pgevents.batch.replay_epoch is
'The epoch of a replay''s events, which keep their own versions; null for a window.';

drop index pgevents.batch_unfinished;
create index batch_unfinished on pgevents.batch (batch_id) where state in ('open', 'forwarded', 'held');
create index batch_applied_at on pgevents.batch (applied_at) where state = 'applied';

create table pgevents.purged (
    only_row boolean primary key default true,
    events bigint not null default 0,
    batches bigint not null default 0,
    constraint purged_has_one_row check (only_row)
);

insert into pgevents.purged default values;

comment on table pgevents.purged is 'What the ledger no longer lists: batches that were applied long ago.';

alter table pgevents.dead_letter
add column waits boolean not null default false,
add column attempts integer not null default 1,
add column replay_batch_id bigint,
add column resolved_at timestamptz,
add column resolution text,
add column resolved_by text,
add column resolved_reason text,
add constraint dead_letter_resolution_is_known check (resolution in ('replayed', 'discarded')),
add constraint dead_letter_resolved_has_time check ((resolution is null) = (resolved_at is null));

comment on column pgevents.dead_letter.waits is
'It was never tried: an earlier event of the same row is dead, and it waits behind that one.';
comment on column pgevents.dead_letter.attempts is 'How often it was tried and died.';
comment on column pgevents.dead_letter.replay_batch_id is
'The batch of the ledger that sends it again, or that did; null while it waits.';
comment on column pgevents.dead_letter.resolution is
'What became of it; null while it waits or is being replayed. Kept for some days.';

create index dead_letter_batch on pgevents.dead_letter (batch_id, seq);
create index dead_letter_replay on pgevents.dead_letter (replay_batch_id, seq) where resolved_at is null;
create index dead_letter_resolved on pgevents.dead_letter (resolved_at) where resolved_at is not null;

create table pgevents.dead_key (
    dead_letter_id bigint not null references pgevents.dead_letter (dead_letter_id) on delete cascade,
    position integer not null,
    table_name text not null,
    key_hash bigint not null,
    key jsonb not null,
    version bigint not null,
    constraint dead_key_once primary key (dead_letter_id, position)
);

create index dead_key_first on pgevents.dead_key (table_name, key_hash, version);

comment on table pgevents.dead_key is
'The rows whose later events wait: for each letter that waits, the key of its row, and the key before. '
'A letter that a replay has taken without an error holds nothing back any more and has no entry.';
comment on column pgevents.dead_key.key is 'The values of the key''s columns, in their order.';
comment on column pgevents.dead_key.key_hash is 'Of the key: a key may be too long for an index.';
comment on column pgevents.dead_key.version is 'Of the event; a row''s later events have larger ones.';

update pgevents.dead_letter
set waits = true
where error = 'waits behind an earlier event of the same row';

insert into pgevents.dead_key (dead_letter_id, position, table_name, key_hash, key, version)
select
    l.dead_letter_id,
    k.position,
    l.table_name,
    hashtextextended(v.key::text, 0),
    v.key,
    l.epoch * 281474976710656 + l.seq
from pgevents.dead_letter as l
cross join lateral json_array_elements(l.keys) with ordinality as k (columns, position)
cross join lateral (
    select jsonb_agg(c.value order by c.ordinality) as key from json_each_text(k.columns) with ordinality as c
) as v;
