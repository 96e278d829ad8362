-- The statement that puts one capture trigger on a captured table or on a partition of it.
--
-- event     INSERT, UPDATE, DELETE, TRUNCATE, TRUNCATE_ALL or TRUNCATE_PART; see truncate_body_sql
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
        'create trigger %I %s %s on %s %s for each statement execute function pgevents.capture_%s_%s()',
        '!pgevents_' || lower(event),
        case when event in ('TRUNCATE_ALL', 'TRUNCATE_PART') then 'before' else 'after' end,
        split_part(event, '_', 1), part,
        case event
            when 'INSERT' then 'referencing new table as new_rows'
            when 'UPDATE' then 'referencing old table as old_rows new table as new_rows'
            when 'DELETE' then 'referencing old table as old_rows'
            else ''
        end,
        captured.table_id, lower(event)
    )
    where case event
        when 'TRUNCATE' then part = captured.relation
        when 'TRUNCATE_ALL' then part = captured.relation and not is_leaf
        when 'TRUNCATE_PART' then part <> captured.relation and is_leaf
        else true
    end
$$;

revoke all on function pgevents.trigger_sql(pgevents.captured_table, regclass, boolean, text) from public;
