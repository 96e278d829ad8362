-- Truncates one outbox table if everything in it is applied and nobody writes to it; see rotate_outbox.
--
-- applied   the snapshot before which everything is applied
-- returns   whether it is empty now
create or replace function pgevents.empty_outbox(of_layout integer, of_half integer, applied pg_snapshot)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    outbox constant regclass := format('pgevents.outbox_%s_%s', of_layout, of_half);
    unapplied boolean;
begin
    -- Asked first, so that a half that waits for its sinks is not read through time and again.
    if exists (
        select from pgevents.batch_part as p
        inner join pgevents.batch as b on p.batch_id = b.batch_id
        where p.layout_id = of_layout and p.half = of_half and b.state in ('open', 'forwarded', 'held')
    ) then
        return false;
    end if;
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

revoke all on function pgevents.empty_outbox(integer, integer, pg_snapshot) from public;
