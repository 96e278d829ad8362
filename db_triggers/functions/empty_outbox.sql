-- Truncates one outbox table if everything in it is applied and nobody writes to it; see rotate_outbox.
--
-- returns   whether it is empty now
create or replace function pgevents.empty_outbox(outbox regclass, applied pg_snapshot)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    unapplied boolean;
begin
    execute format('lock table %s in access exclusive mode nowait', outbox);
    execute format('select exists (select from %s where not pg_visible_in_snapshot(xid, %L))', outbox, applied)
    into unapplied;
    if not unapplied then
        execute format('truncate %s', outbox);
    end if;
    return not unapplied;
exception
    when lock_not_available then
        return false;
end
$$;

revoke all on function pgevents.empty_outbox(regclass, pg_snapshot) from public;
