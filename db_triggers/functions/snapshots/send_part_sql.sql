-- The statement that writes rows of one partition into the outbox, as snapshots.
--
-- returns   a statement with three parameters: the place after which and the one before which the rows lie,
--           and the numbers of their events; it gives how many there were and where the last one lay
create or replace function pgevents.send_part_sql(captured pgevents.captured_table, part oid)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'with chunk as ('
        ' select r.ctid as "!place", row_number() over (order by r.ctid) as "!position", %s'
        ' from only %s as r where r.ctid > $1 and r.ctid < $2 order by r.ctid limit cardinality($3)'
        '), sent as ('
        ' insert into pgevents.outbox_%s_%s (op, seq, %s)'
        ' select ''S'', $3[chunk."!position"], %s from chunk'
        ') select count(*) as row_count, max(chunk."!place") as last_place from chunk',
        pgevents.values_sql(captured, 'r', '%1$s as a%2$s', true), part::regclass,
        l.layout_id, pg_sequence_last_value('pgevents.outbox_half'),
        pgevents.column_list(l, 'a%1$s'), pgevents.column_list(l, 'chunk.a%1$s')
    )
    from pgevents.layout as l
    where l.table_id = captured.table_id and not l.retired
$$;

revoke all on function pgevents.send_part_sql(pgevents.captured_table, oid) from public;
