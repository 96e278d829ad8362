-- Batches of a source whose events several drains take side by side, each by the keys of its own shard.

alter table pgevents.batch
add column shard integer not null default 0,
add column shards integer not null default 1,
add constraint batch_shard_is_one_of_them check (shard >= 0 and shard < shards);

comment on column pgevents.batch.shard is
'Which part of the window''s keys it has, from 0; shard 0 is the drain''s own.';
comment on column pgevents.batch.shards is
'Into how many parts the window''s keys were split; 1 where it was not worth it.';

-- With shards these have one argument more.
drop function if exists pgevents.open_batches(integer, integer);
drop function if exists pgevents.cut_window(pg_snapshot, pg_snapshot, integer, integer, integer);
drop function if exists pgevents.slices(pg_snapshot, pg_snapshot, integer);
drop function if exists pgevents.window_sql(pg_snapshot, pg_snapshot);
