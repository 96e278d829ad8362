-- The part of a capture function that finds out whether nested statements ran, and then settles; see settle_sql.
create or replace function pgevents.settle_guard_sql(
    captured pgevents.captured_table, shape pgevents.layout, event text
)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'if pg_catalog.pg_trigger_depth() operator(pg_catalog.>) 1'
        ' or pg_catalog.current_setting(''pgevents.nested'', true) operator(pg_catalog.<>) '''' then'
        ' if pgevents.note_nesting(%s) then'
        ' if pg_catalog.pg_sequence_last_value(''pgevents.outbox_half'') operator(pg_catalog.=) 0 then %s; else %s; end if;'
        ' end if; end if; ',
        captured.table_id,
        pgevents.settle_sql(captured, shape, event, 0), pgevents.settle_sql(captured, shape, event, 1)
    )
$$;

revoke all on function pgevents.settle_guard_sql(pgevents.captured_table, pgevents.layout, text) from public;
