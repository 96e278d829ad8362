-- The present names of a captured table's key columns and of those that are left out, after a renaming.
--
-- returns   the table, with them
-- raises    when a key column is gone
create or replace function pgevents.renew_names(captured_table_id integer)
returns pgevents.captured_table
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    captured pgevents.captured_table;
    present_key text[];
    present_exclude text[];
    gone text;
begin
    select * into strict captured from pgevents.captured_table where table_id = captured_table_id;
    present_key := pgevents.column_names(captured.relation, captured.key_attnums);
    present_exclude := array_remove(pgevents.column_names(captured.relation, captured.exclude_attnums), null);
    select old.name into gone
    from unnest(captured.key, present_key) as old (name, present_name) where old.present_name is null;
    if found then
        raise 'key column "%" of % does not exist', gone, captured.name using errcode = 'undefined_column';
    end if;
    if (captured.key, captured.exclude) is distinct from (present_key, present_exclude) then
        update pgevents.captured_table set key = present_key, exclude = present_exclude
        where table_id = captured_table_id returning * into captured;
    end if;
    return captured;
end
$$;

revoke all on function pgevents.renew_names(integer) from public;
