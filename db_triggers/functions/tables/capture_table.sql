-- Starts the capture of a table, or brings a captured one in line with what is asked.
--
-- of_table     the table; a partitioned table with all its partitions
-- table_name   schema.table as pipeline.toml names it
-- asked_key    the key's columns; empty for the primary key
-- left_out     columns that are never captured
-- published    whether every event is sent to LISTEN clients too
-- raises       when there is no key, or when a column does not exist
--
-- Example: select pgevents.capture_table('public.account'::regclass, 'public.account', '{}', '{password}',
-- false)
create or replace function pgevents.capture_table(
    of_table regclass, table_name text, asked_key text[], left_out text[], published boolean
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    key_columns constant text[] := pgevents.key_columns(of_table, asked_key);
    id integer;
begin
    if cardinality(key_columns) = 0 then
        raise 'table % has no primary key; name its key in pipeline.toml', table_name
            using errcode = 'invalid_table_definition';
    end if;
    perform pgevents.end_capture(c.table_id, 'another table has its name now')
    from pgevents.captured_table as c
    where c.name = table_name and c.relation <> of_table and c.ended is null;

    insert into pgevents.captured_table (relation, name, key, key_attnums, exclude, exclude_attnums, publish)
    values (
        of_table, table_name, key_columns, pgevents.column_numbers(of_table, key_columns),
        left_out, pgevents.column_numbers(of_table, left_out), published
    )
    on conflict (relation) where ended is null
    do update set
        name = excluded.name, key = excluded.key, key_attnums = excluded.key_attnums,
        exclude = excluded.exclude, exclude_attnums = excluded.exclude_attnums, publish = excluded.publish
    returning table_id into id;
    perform pgevents.build_layout(id);
    perform pgevents.attach_triggers(id, false);
end
$$;

revoke all on function pgevents.capture_table(regclass, text, text[], text[], boolean) from public;
