-- The bodies of the capture functions for a MERGE into a partitioned table, which is captured row by row.
--
-- PostgreSQL (15 to 18) keeps its transition tables wrongly: a row that moves to another partition is in none
-- that an UPDATE trigger sees, and after an insertion a row that is updated has the inserted one as its new
-- row. The captures of whole statements leave it alone then, those of its insertions and deletions too.
--
-- event   MERGE, MERGE_INSERT, MERGE_DELETE, before a statement that updates, inserts, deletes: note whether
--         it is a MERGE (which may be all three);
--         MERGE_ROW, after each row while one runs
create or replace function pgevents.merge_body_sql(
    captured pgevents.captured_table, shape pgevents.layout, event text
)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case event
        when 'MERGE_ROW' then format(
            'begin if pg_catalog.pg_sequence_last_value(''pgevents.outbox_half'') operator(pg_catalog.=) 0'
            ' then %s; else %s; end if; perform pg_catalog.set_config(%L,'
            ' extract(epoch from pg_catalog.statement_timestamp())::pg_catalog.text, true); return null; end',
            pgevents.capture_row_sql(captured, shape, 0), pgevents.capture_row_sql(captured, shape, 1),
            format('pgevents.captured_%s', captured.table_id)
        )
        else format('begin perform pgevents.note_merge(%s, 1); return null; end', captured.table_id)
    end
$$;

revoke all on function pgevents.merge_body_sql(pgevents.captured_table, pgevents.layout, text) from public;
