-- Cuts a window into batches, shard by shard, between slices of so many numbers (seq), and writes them into
-- the ledger. A window is not split into shards when it makes no more than one batch, which costs something
-- by itself, or when an event in it concerns a whole table.
--
-- One number that never falls along the slices says which batch each is in: what all slices before it weigh,
-- in batches. No event counts for less than its share of a batch of the most events, so that no batch has
-- more of them: where a slice begins within a batch, there is room for all of it. A slice of a single number
-- that is heavier than half a batch counts for two and lies one further: so it is alone in its batch.
--
-- most_events   of a batch
-- most_bytes    about how heavy a batch may be
-- width         how many numbers a slice has
-- most_shards   into how many shards at most
-- returns       how many batches were opened; null, and none was, where a slice of several numbers is heavier
--               than an eighth of a batch
create or replace function pgevents.cut_window(
    earlier pg_snapshot, latest pg_snapshot, most_events integer, most_bytes integer, width integer,
    most_shards integer
)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    -- Bytes: what an event counts for at least, and what a batch has of them. A slice ends in the batch where
    -- it begins, so room is left for all but the first of its events.
    least_share constant bigint := (most_bytes - 1) / (most_events - (width - 1)) + 1;
    full_batch constant bigint := least_share * (most_events - (width - 1));
    opened_batches integer;
begin
    with laid as materialized (
        select * from pgevents.slices(earlier, latest, width, most_shards)
    ),

    split as (
        select
            case
                when min(shard) < 0 or sum(greatest(weight, events * least_share)) <= full_batch then 1
                else most_shards
            end as shards
        from laid
    ),

    shared_out as (
        select
            l.shard % s.shards as shard, s.shards, l.slice, l.layout_id, l.half, l.events, l.weight,
            l.seq_from, l.seq_to, l.first_at, l.last_at, l.first_row, l.last_row
        from laid as l
        cross join split as s
    ),

    weighed as (
        select shard, slice, sum(events)::bigint as events, sum(weight)::bigint as weight
        from shared_out
        group by shard, slice
    ),

    counted as (
        select
            shard, slice, weight > full_batch / 2 as alone,
            case
                when weight > full_batch / 2 then 2 * full_batch else greatest(weight, events * least_share)
            end as share
        from weighed
    ),

    numbered as (
        select
            shard, slice,
            div(
                sum(share) over (partition by shard order by slice rows unbounded preceding) - share,
                full_batch
            )::bigint
            + alone::integer as cut
        from counted
    ),

    parts as (
        select
            l.shard, l.shards, n.cut, l.layout_id, l.half, sum(l.events) as events,
            min(l.seq_from) as seq_from, max(l.seq_to) as seq_to,
            min(l.first_at) as first_at, max(l.last_at) as last_at,
            min(l.first_row) as first_row, max(l.last_row) as last_row
        from shared_out as l
        inner join numbered as n on l.shard = n.shard and l.slice = n.slice
        group by l.shard, l.shards, n.cut, l.layout_id, l.half
    ),

    cuts as (
        select
            shard, shards, cut, sum(events) as events, min(seq_from) as seq_from, max(seq_to) as seq_to,
            min(first_at) as first_at, max(last_at) as last_at
        from parts
        group by shard, shards, cut
    ),

    heavy as (
        select exists (select from weighed where weight > full_batch / 8 and width > 1) as is_any
    ),

    opened as (
        insert into pgevents.batch
        (
            epoch, window_from, window_to, shard, shards, seq_from, seq_to, events,
            first_captured_at, last_captured_at
        )
        select
            s.epoch, earlier, latest, c.shard, c.shards, c.seq_from, c.seq_to, c.events,
            c.first_at, c.last_at
        from cuts as c
        cross join pgevents.setting as s
        where not (select h.is_any from heavy as h)
        order by c.seq_from
        returning batch_id, seq_from
    ),

    placed as (
        insert into pgevents.batch_part (batch_id, layout_id, half, first_row, last_row)
        select o.batch_id, p.layout_id, p.half, p.first_row, p.last_row
        from parts as p
        inner join cuts as c on p.shard = c.shard and p.cut = c.cut
        inner join opened as o on c.seq_from = o.seq_from
    )

    select case when not h.is_any then (select count(*) from opened) end into opened_batches
    from heavy as h;
    return opened_batches;
end
$$;

revoke all on function pgevents.cut_window(
    pg_snapshot, pg_snapshot, integer, integer, integer, integer
) from public;
