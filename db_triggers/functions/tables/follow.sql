-- Brings the capture of a table in line with what its owner has made of it, or ends it with a warning:
-- capture never stands in the way of a DDL.
--
-- A captured table that has become a partition of this one is captured as a part of it alone: its own capture
-- ends, with a warning, and its rows are captured once more as rows of this table.
create or replace function pgevents.follow(captured pgevents.captured_table)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    part record;
begin
    for part in
        select c.table_id, c.name
        from pgevents.captured_table as c
        where c.ended is null and c.table_id <> captured.table_id
            and c.relation in (select p.part from pgevents.table_parts(captured.relation) as p)
    loop
        perform pgevents.end_capture(part.table_id, format('it is a partition of %s now', captured.name));
        raise warning 'pgevents: capture of % has ended: it is a partition of % now', part.name, captured.name;
    end loop;
    perform pgevents.build_layout(captured.table_id);
    perform pgevents.attach_triggers(captured.table_id, true);
    perform pgevents.release_parts(captured.table_id);
exception
    when others then
        perform pgevents.end_capture(captured.table_id, sqlerrm);
        raise warning 'pgevents: capture of % has ended: %', captured.name, sqlerrm;
end
$$;

revoke all on function pgevents.follow(pgevents.captured_table) from public;
