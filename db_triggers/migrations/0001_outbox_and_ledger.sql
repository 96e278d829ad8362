-- The state that capture keeps in a source database: what is captured, in which shape, and what became of it.
-- The outbox tables themselves are made by pgevents.build_layout, one pair for each shape that a table has
-- had.

create table pgevents.setting (
    only_row boolean primary key default true,
    source text not null,
    epoch integer not null default 1,
    doorbell text not null default 'schedule',
    function_name text not null default '',
    region text not null default '',
    constraint setting_has_one_row check (only_row),
    constraint setting_epoch_is_positive check (epoch between 1 and 32767),
    constraint setting_doorbell_is_known check (doorbell in ('invoke', 'notify', 'schedule'))
);

comment on table pgevents.setting is 'What the triggers and the drain know of the pipeline; one row.';
comment on column pgevents.setting.source is 'The name of this database in pipeline.toml.';
comment on column pgevents.setting.epoch is
'Grows when the database is restored or replaced; the upper part of every version.';

-- CACHE 1: a session that kept numbers back would give a later change of a row the lower number.
create sequence pgevents.event_seq as bigint cache 1;

-- Sequences and not rows: every writer looks at them, and a row that changes would make serializable
-- transactions of the application fail.
create sequence pgevents.outbox_half as bigint minvalue 0 maxvalue 1 start 0 cache 1;
create sequence pgevents.doorbell_rung as bigint minvalue 0 start 0 cache 1;
create sequence pgevents.doorbell_failed as bigint minvalue 0 start 0 cache 1;
create sequence pgevents.doorbell_muted_until as bigint minvalue 0 start 0 cache 1;

select
    setval('pgevents.outbox_half', 0),
    setval('pgevents.doorbell_rung', 0),
    setval('pgevents.doorbell_failed', 0),
    setval('pgevents.doorbell_muted_until', 0);

create table pgevents.captured_table (
    table_id integer generated always as identity primary key,
    relation oid not null,
    name text not null,
    key text[] not null,
    key_attnums smallint[] not null,
    exclude text[] not null default '{}',
    exclude_attnums smallint[] not null default '{}',
    publish boolean not null default false,
    ended text,
    captured_since timestamptz not null default now(),
    constraint captured_table_key_has_columns check (cardinality(key) > 0)
);

create unique index captured_table_relation on pgevents.captured_table (relation) where ended is null;
create unique index captured_table_name on pgevents.captured_table (name) where ended is null;

comment on table pgevents.captured_table is 'The tables whose changes become events, now or formerly.';
comment on column pgevents.captured_table.relation is
'The table''s oid; not a regclass column, which would keep its owner from dropping it.';
comment on column pgevents.captured_table.name is 'schema.table as pipeline.toml names it.';
comment on column pgevents.captured_table.key_attnums is
'The key''s columns by number: a column that is renamed stays what it was, a key or left out.';
comment on column pgevents.captured_table.ended is 'Why capture ended, or null while it goes on.';

create table pgevents.layout (
    layout_id integer generated always as identity primary key,
    table_id integer not null references pgevents.captured_table (table_id),
    columns text[] not null,
    types text[] not null,
    key text[] not null,
    retired boolean not null default false,
    made_at timestamptz not null default now(),
    constraint layout_columns_have_types check (cardinality(columns) = cardinality(types))
);

create unique index layout_current on pgevents.layout (table_id) where not retired;

comment on table pgevents.layout is
'A shape that a captured table has had. Each has two outbox tables, outbox_<layout_id>_0 and _1.';
comment on column pgevents.layout.types is
'The outbox''s own types: built in, without a length; text for every type that the database defines itself.';
comment on column pgevents.layout.key is
'The key''s columns by the names that they had then: events are read in the shape they were captured in.';

create table pgevents.batch (
    batch_id bigint generated always as identity primary key,
    epoch integer not null,
    window_from pg_snapshot not null,
    window_to pg_snapshot not null,
    seq_from bigint not null,
    seq_to bigint not null,
    events bigint not null,
    state text not null default 'open',
    attempts integer not null default 0,
    first_captured_at timestamptz not null,
    last_captured_at timestamptz not null,
    opened_at timestamptz not null default clock_timestamp(),
    forwarded_at timestamptz,
    applied_at timestamptz,
    constraint batch_state_is_known check (state in ('open', 'forwarded', 'applied', 'dead')),
    constraint batch_applied_has_time check ((state = 'applied') = (applied_at is not null))
);

create index batch_unfinished on pgevents.batch (batch_id) where state in ('open', 'forwarded');

comment on table pgevents.batch is
'The ledger: which events each batch holds, for ever the same ones, and how far it has come.';
comment on column pgevents.batch.window_from is 'Events visible in this snapshot belong to an earlier batch.';
comment on column pgevents.batch.window_to is 'Events not visible in this snapshot belong to a later batch.';
comment on column pgevents.batch.seq_from is
'A large window is cut into batches by seq; both ends are included.';

create table pgevents.batch_part (
    batch_id bigint not null references pgevents.batch (batch_id),
    layout_id integer not null references pgevents.layout (layout_id),
    half smallint not null,
    first_row tid not null,
    last_row tid not null,
    constraint batch_part_once primary key (batch_id, layout_id, half)
);

comment on table pgevents.batch_part is
'Where in the outbox a batch lies. It is read from there alone: a backlog is not gone through once a batch.';

create table pgevents.refused_event (
    batch_id bigint not null references pgevents.batch (batch_id),
    seq bigint not null,
    reason text not null,
    constraint refused_event_once primary key (batch_id, seq)
);

comment on table pgevents.refused_event is
'Events of a batch that Redshift refused: the next drain makes dead letters of them and forwards the rest.';

create table pgevents.dead_letter (
    dead_letter_id bigint generated always as identity primary key,
    batch_id bigint not null,
    epoch integer not null,
    seq bigint not null,
    table_name text not null,
    event_type text not null,
    keys json not null,
    event jsonb not null,
    error text not null,
    stack text not null default '',
    died_at timestamptz not null default clock_timestamp(),
    constraint dead_letter_once unique (epoch, seq)
);

create index dead_letter_table on pgevents.dead_letter (table_name, seq);

comment on table pgevents.dead_letter is
'Events that could not be taken, and the later events of the same rows, which wait behind them.';
comment on column pgevents.dead_letter.keys is
'The key of the row, and for an UPDATE that changes it the key before: objects of column and text.';
