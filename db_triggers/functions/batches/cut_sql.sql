-- The statement that cuts a window into batches and writes them into the ledger.
--
-- One number that never falls along seq says which batch an event is in: what all events before it weigh, in
-- batches. None counts for less than its share of a batch of the most events, so that no batch has more of
-- them. One that is heavier than half a batch counts for two and lies one further: so it is alone in its
-- batch, and no other batch is heavier than one and a half. One running sum instead of one for each limit,
-- because that is what most of the cutting costs.
--
-- The window is weighed before it is sorted (offset 0), so the values themselves are not carried through the
-- sort.
--
-- events         the query for the window's events; see window_sql
-- batch_events   the most events of a batch
-- batch_bytes    about how heavy a batch may be
-- returns        a statement with two parameters, the snapshots of the window; it gives the number of batches
create or replace function pgevents.cut_sql(events text, batch_events integer, batch_bytes integer)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'with weighed as ('
        ' select e.*, e.weight > %2$s / 2 as alone from (%3$s) as e offset 0'
        '), counted as ('
        ' select w.*, case when w.alone then 2 * %2$s else greatest(w.weight, %1$s) end as share from weighed as w'
        '), numbered as ('
        ' select c.*, (sum(share) over (order by seq rows unbounded preceding) - share) / %2$s'
        ' + alone::integer as cut'
        ' from counted as c'
        '), parts as ('
        ' select cut, layout_id, half, count(*) as events,'
        ' min(seq) as seq_from, max(seq) as seq_to, min(captured_at) as first_at, max(captured_at) as last_at,'
        ' min(place) as first_row, max(place) as last_row'
        ' from numbered group by cut, layout_id, half'
        '), cuts as ('
        ' select cut, sum(events) as events,'
        ' min(seq_from) as seq_from, max(seq_to) as seq_to, min(first_at) as first_at, max(last_at) as last_at'
        ' from parts group by cut'
        '), opened as ('
        ' insert into pgevents.batch'
        ' (epoch, window_from, window_to, seq_from, seq_to, events, first_captured_at, last_captured_at)'
        ' select s.epoch, $1, $2, c.seq_from, c.seq_to, c.events, c.first_at, c.last_at'
        ' from cuts as c cross join pgevents.setting as s order by c.seq_from'
        ' returning batch_id, seq_from'
        '), placed as ('
        ' insert into pgevents.batch_part (batch_id, layout_id, half, first_row, last_row)'
        ' select o.batch_id, p.layout_id, p.half, p.first_row, p.last_row'
        ' from parts as p inner join cuts as c using (cut)'
        ' inner join opened as o on c.seq_from = o.seq_from'
        ') select count(*) from opened',
        share.least, share.least * most.events, cut_sql.events
    )
    -- No event weighs less than 100 (see weight_sql).
    from (values (least(batch_events, batch_bytes / 100))) as most (events)
    cross join lateral (values ((batch_bytes - 1) / most.events + 1)) as share (least)
$$;

revoke all on function pgevents.cut_sql(text, integer, integer) from public;
