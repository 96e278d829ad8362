-- Counts the parts (insertions, updates, deletions) of the MERGE statements that are changing a partitioned
-- table at the moment; see merge_body_sql.
--
-- A trigger is not told which command it runs in. What tells is the text: of the client's message, and of
-- the statements in the functions around. Where the text may be elsewhere (EXECUTE, a function in SQL, or
-- what is not understood, in whatever language the server speaks) it counts as a MERGE and is captured row by
-- row: that is right for every command, and slower.
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
    around text;
begin
    get diagnostics context = pg_context;
    -- What is around the capture function: nothing, or first of all the statement that fires it.
    around := substring(context from '\mcapture_\d+_\w+\(\)[^\n]*\n?(.*)$');
    if current_query() ~* '\m(?:merge|execute)\M' or context ~* '\m(?:merge|execute)\M'
        or around is distinct from '' and around !~* '^[^\n"»«„“]*["»«„“]\s*(?:insert|update|delete|with)\s'
    then
        perform set_config(name, greatest(running + step, 0)::text, true);
        return true;
    end if;
    return false;
end
$$;

revoke all on function pgevents.note_merge(integer, integer) from public;
