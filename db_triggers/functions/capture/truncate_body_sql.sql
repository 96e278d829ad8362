-- The body of a table's capture function for TRUNCATE.
--
-- event   TRUNCATE, after one of the whole table: a single event, however many rows there were;
--         TRUNCATE_PART, before one of a leaf partition: each of its rows as a deletion, unless the whole
--         table is being truncated, of which the partition's trigger cannot know by itself;
--         TRUNCATE_ALL, before one of a whole partitioned table: so it leaves a note
create or replace function pgevents.truncate_body_sql(
    captured pgevents.captured_table, shape pgevents.layout, event text
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    note constant text := format('pgevents.truncating_%s', captured.table_id);
    take_part constant text := format(
        'insert into pgevents.outbox_%s_%%s (op, %s) select ''D'', %s from %%s as o',
        shape.layout_id, replace(pgevents.column_list(shape, 'b%1$s'), '%', '%%'),
        replace(pgevents.values_sql(captured, 'o', '%1$s', true), '%', '%%')
    );
begin
    return case event
        when 'TRUNCATE' then format(
            'begin if pg_catalog.pg_sequence_last_value(''pgevents.outbox_half'') operator(pg_catalog.=) 0'
            ' then %s; else %s; end if; perform pg_catalog.set_config(%L, '''', true); %s return null; end',
            pgevents.capture_sql(captured, shape, event, 0), pgevents.capture_sql(captured, shape, event, 1),
            note,
            case when captured.publish then pgevents.publish_sql(captured, event) || ';' else '' end
        )
        when 'TRUNCATE_ALL' then format(
            'begin perform pg_catalog.set_config(%L, ''all'', true); return null; end', note
        )
        when 'TRUNCATE_PART' then format(
            'begin if coalesce(pg_catalog.current_setting(%L, true), '''') operator(pg_catalog.<>) ''all'''
            ' then execute pg_catalog.format(%L, pg_catalog.pg_sequence_last_value(''pgevents.outbox_half''),'
            ' tg_relid::pg_catalog.regclass); perform pgevents.baseline_behind_snapshot(%s, tg_relid);'
            ' end if; return null; end',
            note, take_part, captured.table_id
        )
    end;
end
$$;

revoke all on function pgevents.truncate_body_sql(pgevents.captured_table, pgevents.layout, text) from public;
