-- The snapshot up to which everything is in some batch; before the first one, a snapshot that sees nothing.
create or replace function pgevents.last_window()
returns pg_snapshot
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(
        (select b.window_to from pgevents.batch as b order by b.batch_id desc limit 1), '1:1:'::pg_snapshot
    )
$$;

revoke all on function pgevents.last_window() from public;
