-- The bodies of the capture functions for what PostgreSQL leaves out of the transition tables of a partitioned
-- table: the rows that a MERGE moves to another partition, which are in those of no trigger that it fires.
--
-- event   MOVE, after each row that a partition loses or gains while a MERGE runs: a deletion or an insertion;
--         MERGE, before a statement that updates: notes whether it is a MERGE
create or replace function pgevents.move_body_sql(
    captured pgevents.captured_table, shape pgevents.layout, event text
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    one_row constant text :=
        'if pg_catalog.pg_sequence_last_value(''pgevents.outbox_half'') operator(pg_catalog.=) 0'
        ' then %s; else %s; end if; ';
begin
    if event = 'MERGE' then
        return format('begin perform pgevents.note_merge(%s, 1); return null; end', captured.table_id);
    end if;
    return 'begin if tg_op operator(pg_catalog.=) ''DELETE'' then '
        || format(
            one_row, pgevents.capture_row_sql(captured, shape, 'DELETE', 0),
            pgevents.capture_row_sql(captured, shape, 'DELETE', 1)
        )
        || 'else '
        || format(
            one_row, pgevents.capture_row_sql(captured, shape, 'INSERT', 0),
            pgevents.capture_row_sql(captured, shape, 'INSERT', 1)
        )
        || format(
            'end if; perform pg_catalog.set_config(%L,'
            ' extract(epoch from pg_catalog.statement_timestamp())::pg_catalog.text, true); return null; end',
            format('pgevents.captured_%s', captured.table_id)
        );
end
$$;

revoke all on function pgevents.move_body_sql(pgevents.captured_table, pgevents.layout, text) from public;
