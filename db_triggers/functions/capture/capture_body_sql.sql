-- The body of a table's capture function for one event: what its trigger runs after each statement.
--
-- Every name in it is qualified, types and operators too, so that no search_path of a caller changes what it
-- does; it is SECURITY DEFINER because the application has no right to write into the outbox itself.
--
-- Where two captures of the table fall into one statement of a client, one may be out of order and is
-- settled. The start of that statement is remembered in a setting local to the transaction, which a savepoint
-- takes back.
--
-- Most of what it costs is what plpgsql does around each of its statements and expressions: so there are few,
-- without variables and without a PERFORM. set_config never gives null: it notes, and says that nothing is to
-- be settled.
create or replace function pgevents.capture_body_sql(
    captured pgevents.captured_table, shape pgevents.layout, event text
)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'begin if pg_catalog.pg_sequence_last_value(''pgevents.outbox_half'') operator(pg_catalog.=) 0'
        ' then %s; else %s; end if; %s if found and (%s) then'
        ' if pg_catalog.pg_sequence_last_value(''pgevents.outbox_half'') operator(pg_catalog.=) 0'
        ' then %s; else %s; end if; end if; return null; end',
        pgevents.capture_sql(captured, shape, event, 0), pgevents.capture_sql(captured, shape, event, 1),
        case
            when captured.publish then format('if found then %s; end if;', pgevents.publish_sql(captured, event))
            else ''
        end,
        case
            when pgevents.key_is_unique(captured)
                then format(
                    'case when pg_catalog.current_setting(%1$L, true) operator(pg_catalog.=) %2$s then true'
                    ' else pg_catalog.set_config(%1$L, %2$s, true) is null end',
                    format('pgevents.captured_%s', captured.table_id),
                    'extract(epoch from pg_catalog.statement_timestamp())::pg_catalog.text'
                )
            else 'true'
        end,
        pgevents.settle_sql(captured, shape, event, 0, 'old_rows', 'new_rows'),
        pgevents.settle_sql(captured, shape, event, 1, 'old_rows', 'new_rows')
    )
$$;

revoke all on function pgevents.capture_body_sql(pgevents.captured_table, pgevents.layout, text) from public;
