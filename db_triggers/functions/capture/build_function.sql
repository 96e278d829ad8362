-- Makes or renews the capture function of a table for one event, if it is not what it should be already.
--
-- With virtual generated columns it has a pinned search_path, at a cost: PostgreSQL writes their expressions
-- with names that are not qualified, though it allows nothing in them that is not its own.
create or replace function pgevents.build_function(
    captured pgevents.captured_table, shape pgevents.layout, event text
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    signature constant text := format('pgevents.capture_%s_%s()', captured.table_id, lower(event));
    body constant text := E'#variable_conflict use_column\n' || case
        when event like 'TRUNCATE%' then pgevents.truncate_body_sql(captured, shape, event)
        when event like 'MERGE%' then pgevents.merge_body_sql(captured, shape, event)
        else pgevents.capture_body_sql(captured, shape, event)
    end;
begin
    if exists (select from pg_proc where oid = to_regprocedure(signature) and prosrc = body) then
        return;
    end if;
    execute format(
        'create or replace function %s returns trigger language plpgsql security definer %s as %L',
        signature,
        (
            select 'set search_path = pg_catalog, pg_temp'
            from pg_attribute
            where attrelid = captured.relation and attgenerated = 'v'
            limit 1
        ),
        body
    );
    execute format('revoke all on function %s from public', signature);
end
$$;

revoke all on function pgevents.build_function(pgevents.captured_table, pgevents.layout, text) from public;
