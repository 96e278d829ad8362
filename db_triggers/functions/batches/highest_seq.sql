-- The highest number of any event in the outbox; null when it is empty.
create or replace function pgevents.highest_seq()
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    outbox regclass;
    highest bigint;
    found_here bigint;
begin
    for outbox in select o.outbox from pgevents.pending_outboxes() as o loop
        execute format('select max(seq) from %s', outbox) into found_here;
        highest := greatest(highest, found_here);
    end loop;
    return highest;
end
$$;

revoke all on function pgevents.highest_seq() from public;
