-- Finds one captured table again: by its trigger, which tells it whatever its name is by now, else by the
-- name.
create or replace function pgevents.relink_table(captured pgevents.captured_table)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    found_as constant regclass := coalesce(
        (
            select t.tgrelid
            from pg_trigger as t
            inner join pg_proc as p on t.tgfoid = p.oid
            where p.pronamespace = 'pgevents'::regnamespace and t.tgparentid = 0
                and p.proname = format('capture_%s_truncate', captured.table_id)
            limit 1
        ),
        to_regclass(format('%I.%I', split_part(captured.name, '.', 1), split_part(captured.name, '.', 2)))
    );
begin
    if found_as is null then
        raise 'the table is not in this copy of the database' using errcode = 'undefined_table';
    end if;
    update pgevents.captured_table as c
    set relation = found_as, key_attnums = pgevents.column_numbers(found_as, captured.key),
        exclude_attnums = pgevents.column_numbers(found_as, captured.exclude)
    where c.table_id = captured.table_id
    returning * into captured;
    perform pgevents.follow(captured);
exception
    when others then
        perform pgevents.end_capture(captured.table_id, sqlerrm);
        raise warning 'pgevents: capture of % has ended: %', captured.name, sqlerrm;
end
$$;

revoke all on function pgevents.relink_table(pgevents.captured_table) from public;
