-- The statement that puts one capture trigger on a captured table or on a partition of it.
--
-- event     one of capture_events; see truncate_body_sql and merge_body_sql for those that are no SQL command
-- returns   null where that trigger has no place
create or replace function pgevents.trigger_sql(
    captured pgevents.captured_table, part regclass, is_leaf boolean, event text
)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'create trigger %I %s %s on %s %s execute function pgevents.capture_%s_%s()',
        '!pgevents_' || lower(event),
        case
            when event in ('TRUNCATE_ALL', 'TRUNCATE_PART', 'MERGE', 'MERGE_INSERT', 'MERGE_DELETE') then 'before'
            else 'after'
        end,
        case event
            when 'MERGE' then 'update'
            when 'MERGE_INSERT' then 'insert'
            when 'MERGE_DELETE' then 'delete'
            when 'MERGE_ROW' then 'insert or update or delete'
            else split_part(event, '_', 1)
        end,
        part,
        case event
            when 'INSERT' then 'referencing new table as new_rows for each statement'
            when 'UPDATE' then 'referencing old table as old_rows new table as new_rows for each statement'
            when 'DELETE' then 'referencing old table as old_rows for each statement'
            when 'MERGE_ROW' then format(
                'for each row when (pg_catalog.current_setting(%L, true) operator(pg_catalog.>) ''0'')',
                format('pgevents.merging_%s', captured.table_id)
            )
            else 'for each statement'
        end,
        captured.table_id, lower(event)
    )
    where case event
        when 'TRUNCATE' then part = captured.relation
        when 'TRUNCATE_ALL' then part = captured.relation and not is_leaf
        when 'MERGE_ROW' then part = captured.relation and not is_leaf
        when 'MERGE' then pgevents.is_partitioned(captured)
        when 'MERGE_INSERT' then pgevents.is_partitioned(captured)
        when 'MERGE_DELETE' then pgevents.is_partitioned(captured)
        when 'TRUNCATE_PART' then part <> captured.relation and is_leaf
        else true
    end
$$;

revoke all on function pgevents.trigger_sql(pgevents.captured_table, regclass, boolean, text) from public;
