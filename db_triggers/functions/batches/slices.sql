-- The events of a window in slices of so many numbers (seq), each apart for every shard and every outbox
-- table that holds a part of it: how many there are, what they weigh (bytes), and between which numbers,
-- times and places they lie. To sort a window and to add up its weights event by event would take longer.
create or replace function pgevents.slices(
    window_from pg_snapshot, window_to pg_snapshot, width integer, shards integer
)
returns table (
    shard integer, slice bigint, layout_id integer, half integer, events bigint, weight bigint,
    seq_from bigint, seq_to bigint, first_at timestamptz, last_at timestamptz, first_row tid, last_row tid
)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
-- The planner takes every window for a small one, which it would sort to gather the slices.
set enable_sort = off
as $$
declare
    of_window constant text := pgevents.window_sql(window_from, window_to, shards);
begin
    if of_window is not null then
        return query execute format(
            'select shard, seq / %s, layout_id, half, count(*), sum(weight), min(seq), max(seq),'
            ' min(captured_at), max(captured_at), min(place), max(place)'
            ' from (%s) as e group by 1, 2, 3, 4',
            width, of_window
        );
    end if;
end
$$;

revoke all on function pgevents.slices(pg_snapshot, pg_snapshot, integer, integer) from public;
