-- Remembers, for the rest of the transaction, that a table was changed inside another statement.
--
-- captured_table_id   the table whose capture function asks
-- returns             whether the rows just captured must be settled (see settle_sql): some statement nested in
--                     this one, or in an earlier one, was captured before it
create or replace function pgevents.note_nesting(captured_table_id integer)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    nested text [] := string_to_array(current_setting('pgevents.nested', true), ' ');
    was_nested constant boolean := coalesce(captured_table_id::text = any (nested), false);
begin
    if pg_trigger_depth() > 1 then
        nested := array_append(array_remove(coalesce(nested, '{}'), captured_table_id::text), captured_table_id::text);
    else
        nested := array_remove(nested, captured_table_id::text);
    end if;
    perform set_config('pgevents.nested', array_to_string(nested, ' '), true);
    return was_nested;
end
$$;

revoke all on function pgevents.note_nesting(integer) from public;
