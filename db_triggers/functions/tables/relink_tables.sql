-- Finds the captured tables again in a logical copy, where everything has another oid, and brings their
-- capture in line with what they are there. A table that was not copied is captured no longer.
create or replace function pgevents.relink_tables()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    captured pgevents.captured_table;
begin
    -- Two tables may have changed oids: nobody's, first.
    update pgevents.captured_table set relation = (4294967295 - table_id)::oid where ended is null;
    for captured in select * from pgevents.captured_table where ended is null order by table_id loop
        perform pgevents.relink_table(captured);
    end loop;
end
$$;

revoke all on function pgevents.relink_tables() from public;
