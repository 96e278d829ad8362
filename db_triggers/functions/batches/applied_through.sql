-- The snapshot before which every event is applied or dead: what the outbox may let go of. A replay is not
-- read from there.
create or replace function pgevents.applied_through()
returns pg_snapshot
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(
        (
            select b.window_from
            from pgevents.batch as b
            where b.state in ('open', 'forwarded', 'held') and b.kind = 'window'
            order by b.batch_id
            limit 1
        ),
        pgevents.last_window()
    )
$$;

revoke all on function pgevents.applied_through() from public;
