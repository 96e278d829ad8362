-- The queries that read a batch, one for each outbox table that may hold a part of it.
--
-- of_batch   the batch's number
-- returns    table_name; key, columns and types of the layout; and the query, for COPY: op, seq, xid,
--            captured_at, then the row before and the row after
create or replace function pgevents.batch_queries(of_batch bigint)
returns table (table_name text, key text[], columns text[], types text[], query text)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        c.name, l.key, l.columns, l.types,
        format(
            'select op, seq, xid, captured_at, %s, %s from %s'
            ' where seq between %s and %s and %s order by seq',
            pgevents.column_list(l, 'b%1$s'), pgevents.column_list(l, 'a%1$s'),
            o.outbox, b.seq_from, b.seq_to,
            pgevents.in_window_sql(b.window_from, b.window_to)
        )
    from pgevents.batch as b
    cross join pgevents.pending_outboxes() as o
    inner join pgevents.layout as l on o.layout_id = l.layout_id
    inner join pgevents.captured_table as c on l.table_id = c.table_id
    where b.batch_id = of_batch
    order by c.name, l.layout_id, o.half
$$;

revoke all on function pgevents.batch_queries(bigint) from public;
