-- The statement that cuts a window into batches and writes them into the ledger.
--
-- Three numbers that grow along seq say which batch an event is in: whole batches of events before it, whole
-- batches of bytes up to it, and the events before it that are so heavy (more than half a batch) that each is
-- a batch by itself. So no batch but those is heavier than one and a half. None of the three ever falls, so
-- their sum changes where one of them does.
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
        '), numbered as ('
        ' select w.*, (row_number() over along - 1) / %1$s'
        ' + sum(case when alone then 0 else weight end) over along / %2$s'
        ' + 2 * count(*) filter (where alone) over along - alone::integer as cut'
        ' from weighed as w window along as (order by seq rows unbounded preceding)'
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
        batch_events, batch_bytes, events
    )
$$;

revoke all on function pgevents.cut_sql(text, integer, integer) from public;
