-- The body of a table's capture function for one event: what its trigger runs after each statement.
--
-- Every name in it is qualified, types and operators too, so that no search_path of a caller changes what it
-- does; it is SECURITY DEFINER because the application has no right to write into the outbox itself.
--
-- Where two captures of the table fall into one statement of a client, one may be out of order and is
-- settled. The start of that statement is remembered in a setting local to the transaction, which a savepoint
-- takes back.
create or replace function pgevents.capture_body_sql(
    captured pgevents.captured_table, shape pgevents.layout, event text
)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'declare statement_at constant pg_catalog.text :='
        ' extract(epoch from pg_catalog.statement_timestamp())::pg_catalog.text;'
        ' written_half constant pg_catalog.int8 :='
        ' pg_catalog.pg_sequence_last_value(''pgevents.outbox_half'');'
        ' begin if written_half operator(pg_catalog.=) 0 then %s; else %s; end if; if found then %s'
        ' if %s then if written_half operator(pg_catalog.=) 0 then %s; else %s; end if;'
        ' else perform pg_catalog.set_config(%L, statement_at, true); end if; end if; return null; end',
        pgevents.capture_sql(captured, shape, event, 0), pgevents.capture_sql(captured, shape, event, 1),
        case when captured.publish then pgevents.publish_sql(captured, event) || ';' else '' end,
        case
            when pgevents.key_is_unique(captured)
                then format(
                    'pg_catalog.current_setting(%L, true) operator(pg_catalog.=) statement_at',
                    seen_setting.name
                )
            else 'true'
        end,
        pgevents.settle_sql(captured, shape, event, 0, 'old_rows', 'new_rows'),
        pgevents.settle_sql(captured, shape, event, 1, 'old_rows', 'new_rows'),
        seen_setting.name
    )
    from format('pgevents.captured_%s', captured.table_id) as seen_setting (name)
$$;

revoke all on function pgevents.capture_body_sql(pgevents.captured_table, pgevents.layout, text) from public;
