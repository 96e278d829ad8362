-- Brings the capture of a table in line with what its owner has made of it, or ends it with a warning:
-- capture never stands in the way of a DDL.
create or replace function pgevents.follow(captured pgevents.captured_table)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
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
