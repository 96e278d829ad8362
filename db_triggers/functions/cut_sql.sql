-- The statement that cuts a window into batches and writes them into the ledger.
--
-- events         the query for the window's events; see window_sql
-- batch_events   the size of a batch
-- returns        a statement with two parameters, the snapshots of the window; it gives the number of batches
create or replace function pgevents.cut_sql(events text, batch_events integer)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'with numbered as ('
        ' select e.*, (row_number() over (order by e.seq) - 1) / %s as cut from (%s) as e'
        '), parts as ('
        ' select cut, layout_id, half, count(*) as events, min(seq) as seq_from, max(seq) as seq_to,'
        ' min(captured_at) as first_at, max(captured_at) as last_at,'
        ' min(place) as first_row, max(place) as last_row'
        ' from numbered group by cut, layout_id, half'
        '), opened as ('
        ' insert into pgevents.batch'
        ' (epoch, window_from, window_to, seq_from, seq_to, events, first_captured_at, last_captured_at)'
        ' select s.epoch, $1, $2, min(p.seq_from), max(p.seq_to), sum(p.events),'
        ' min(p.first_at), max(p.last_at)'
        ' from parts as p cross join pgevents.setting as s group by s.epoch, p.cut order by p.cut'
        ' returning batch_id, seq_from, seq_to'
        '), placed as ('
        ' insert into pgevents.batch_part (batch_id, layout_id, half, first_row, last_row)'
        ' select o.batch_id, p.layout_id, p.half, p.first_row, p.last_row'
        ' from parts as p inner join opened as o on p.seq_from between o.seq_from and o.seq_to'
        ') select count(*) from opened',
        batch_events, events
    )
$$;

revoke all on function pgevents.cut_sql(text, integer) from public;
