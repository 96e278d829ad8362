-- The statement that puts one capture trigger on a captured table or on a partition of it.
create or replace function pgevents.trigger_sql(captured pgevents.captured_table, part regclass, event text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'create trigger %I %s %s on %s %s for each statement execute function pgevents.capture_%s_%s()',
        '!pgevents_' || lower(event),
        case when event = 'TRUNCATE' and part <> captured.relation then 'before' else 'after' end,
        event, part,
        case event
            when 'INSERT' then 'referencing new table as new_rows'
            when 'UPDATE' then 'referencing old table as old_rows new table as new_rows'
            when 'DELETE' then 'referencing old table as old_rows'
            else ''
        end,
        captured.table_id,
        case when event = 'TRUNCATE' and part <> captured.relation then 'truncate_part' else lower(event) end
    )
$$;

revoke all on function pgevents.trigger_sql(pgevents.captured_table, regclass, text) from public;
