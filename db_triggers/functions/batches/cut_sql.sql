-- The statement that cuts a window into batches and writes them into the ledger.
--
-- It puts the window's events into slices, each of so many numbers (seq) at most, and cuts between slices. To
-- sort and to add up a few slices costs nothing; to do so with every event took most of the cutting.
--
-- One number that never falls along the slices says which batch each is in: what all slices before it weigh,
-- in batches. No event counts for less than its share of a batch of the most events, so that no batch has
-- more of them: where a slice begins within a batch, there is room for all of it. A slice of a single number
-- that is heavier than half a batch counts for two and lies one further: so it is alone in its batch.
--
-- events         the query for the window's events; see window_sql
-- batch_events   the most events of a batch
-- batch_bytes    about how heavy a batch may be
-- width          how many numbers a slice has
-- returns        a statement with two parameters, the snapshots of the window; it gives how many batches,
--                or null, with nothing opened, where a slice of several numbers is too heavy: more than an
--                eighth of a batch
create or replace function pgevents.cut_sql(
    events text, batch_events integer, batch_bytes integer, width integer
)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'with laid as ('
        ' select seq / %4$s as slice, layout_id, half, count(*) as events, sum(weight) as weight,'
        ' min(seq) as seq_from, max(seq) as seq_to, min(captured_at) as first_at, max(captured_at) as last_at,'
        ' min(place) as first_row, max(place) as last_row'
        ' from (%3$s) as e group by 1, 2, 3'
        '), weighed as ('
        ' select slice, sum(events)::bigint as events, sum(weight)::bigint as weight from laid group by slice'
        '), counted as ('
        ' select slice, weight > %2$s / 2 as alone,'
        ' case when weight > %2$s / 2 then 2 * %2$s::bigint else greatest(weight, events * %1$s) end as share'
        ' from weighed'
        '), numbered as ('
        ' select slice, div(sum(share) over (order by slice rows unbounded preceding) - share, %2$s)::bigint'
        ' + alone::integer as cut'
        ' from counted'
        '), parts as ('
        ' select n.cut, l.layout_id, l.half, sum(l.events) as events,'
        ' min(l.seq_from) as seq_from, max(l.seq_to) as seq_to,'
        ' min(l.first_at) as first_at, max(l.last_at) as last_at,'
        ' min(l.first_row) as first_row, max(l.last_row) as last_row'
        ' from laid as l inner join numbered as n using (slice) group by 1, 2, 3'
        '), cuts as ('
        ' select cut, sum(events) as events,'
        ' min(seq_from) as seq_from, max(seq_to) as seq_to, min(first_at) as first_at, max(last_at) as last_at'
        ' from parts group by cut'
        '), heavy as ('
        ' select exists (select from weighed where weight > %2$s / 8 and %4$s > 1) as any'
        '), opened as ('
        ' insert into pgevents.batch'
        ' (epoch, window_from, window_to, seq_from, seq_to, events, first_captured_at, last_captured_at)'
        ' select s.epoch, $1, $2, c.seq_from, c.seq_to, c.events, c.first_at, c.last_at'
        ' from cuts as c cross join pgevents.setting as s'
        ' where not (select h.any from heavy as h) order by c.seq_from'
        ' returning batch_id, seq_from'
        '), placed as ('
        ' insert into pgevents.batch_part (batch_id, layout_id, half, first_row, last_row)'
        ' select o.batch_id, p.layout_id, p.half, p.first_row, p.last_row'
        ' from parts as p inner join cuts as c using (cut)'
        ' inner join opened as o on c.seq_from = o.seq_from'
        ') select case when not h.any then (select count(*) from opened) end from heavy as h',
        share.least, share.least * most.events, cut_sql.events, width
    )
    -- No event weighs less than 100 (see weight_sql). A slice that begins within a batch ends there.
    from (values (least(batch_events, batch_bytes / 100) - (width - 1))) as most (events)
    cross join lateral (values ((batch_bytes - 1) / most.events + 1)) as share (least)
$$;

revoke all on function pgevents.cut_sql(text, integer, integer, integer) from public;
