-- Counts the parts (insertions, updates, deletions) of the MERGE statements that are changing a partitioned
-- table at the moment; see merge_body_sql.
--
-- A trigger is not told which command it runs in. What tells is the text: of the client's statement, and of
-- those in the functions around. Where there is none (EXECUTE, a function in SQL) it counts as a MERGE, and
-- is captured row by row.
--
-- step      1 when a part of a statement begins, -1 when it has ended
-- returns   whether it is one
create or replace function pgevents.note_merge(captured_table_id integer, step integer)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    name constant text := format('pgevents.merging_%s', captured_table_id);
    running constant integer := coalesce(nullif(current_setting(name, true), ''), '0');
    context text;
begin
    get diagnostics context = pg_context;
    if current_query() ~* '\mmerge\M|^\s*execute\M' or context ~* '\mmerge\M|\mSQL function\M' then
        perform set_config(name, greatest(running + step, 0)::text, true);
        return true;
    end if;
    return false;
end
$$;

revoke all on function pgevents.note_merge(integer, integer) from public;
