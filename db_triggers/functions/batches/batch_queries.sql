-- The queries that read a batch, one for each outbox table that holds a part of it. Their rows come as they
-- lie: the reader sorts what it merges, and has the first ones while the server prints the next.
--
-- of_batch   the batch's number
-- in_place   whether to look only where its events were when it was opened. They are elsewhere when somebody
--            has rewritten the outbox (VACUUM FULL); the reader notices by their number
-- returns    table_name; key, columns and types of the layout; and the query: op, seq, xid,
--            captured_at, then the row before and the row after
create or replace function pgevents.batch_queries(of_batch bigint, in_place boolean)
returns table (table_name text, key text[], columns text[], types text[], query text)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        c.name, l.key, l.columns, l.types,
        format(
            'select op, seq, xid, captured_at, %s, %s from pgevents.outbox_%s_%s'
            ' where seq between %s and %s and %s %s %s',
            pgevents.column_list(l, 'b%1$s'), pgevents.column_list(l, 'a%1$s'), p.layout_id, p.half,
            b.seq_from, b.seq_to, pgevents.in_window_sql(b.window_from, b.window_to),
            case when in_place then format('and ctid between %L and %L', p.first_row, p.last_row) end,
            case when b.shards > 1 then format('and %s = %s', pgevents.shard_sql(l, b.shards), b.shard) end
        )
    from pgevents.batch as b
    inner join pgevents.batch_part as p on b.batch_id = p.batch_id
    inner join pgevents.layout as l on p.layout_id = l.layout_id
    inner join pgevents.captured_table as c on l.table_id = c.table_id
    where b.batch_id = of_batch
    order by c.name, l.layout_id, p.half
$$;

revoke all on function pgevents.batch_queries(bigint, boolean) from public;
