-- The whole capture function of a table for one event: what its trigger runs after each statement.
--
-- Every name in it is qualified, operators too, so that no search_path of a caller changes what it does; it is
-- SECURITY DEFINER because the application has no right to write into the outbox itself.
create or replace function pgevents.capture_function_sql(
    captured pgevents.captured_table, shape pgevents.layout, event text
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return format(
        'create or replace function pgevents.capture_%s_%s() returns trigger language plpgsql security definer as %L',
        captured.table_id, lower(event),
        'begin if pg_catalog.pg_sequence_last_value(''pgevents.outbox_half'') operator(pg_catalog.=) 0 then '
        || pgevents.capture_sql(captured, shape, event, 0) || '; else '
        || pgevents.capture_sql(captured, shape, event, 1) || '; end if; '
        || case when captured.publish and event in ('INSERT', 'UPDATE', 'DELETE') then pgevents.publish_sql(captured, event) || '; ' else '' end
        || case when event in ('INSERT', 'UPDATE', 'DELETE') then pgevents.settle_guard_sql(captured, shape, event) else '' end
        || 'return null; end'
    );
end
$$;

revoke all on function pgevents.capture_function_sql(pgevents.captured_table, pgevents.layout, text) from public;
