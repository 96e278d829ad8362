-- The snapshot up to which everything is in some batch; before the first one, a snapshot that sees nothing.
--
-- Where transaction numbers have started anew with an epoch, batches of earlier ones say nothing about them.
create or replace function pgevents.last_window()
returns pg_snapshot
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(
        (
            select b.window_to
            from pgevents.batch as b
            where b.epoch >= coalesce(restarted.epoch, 0)
            order by b.batch_id desc limit 1
        ),
        restarted.window_from,
        '1:1:'::pg_snapshot
    )
    from (select) as always
    left join (
        select e.epoch, e.window_from
        from pgevents.epoch as e
        where e.window_from is not null
        order by e.epoch desc limit 1
    ) as restarted on true
$$;

revoke all on function pgevents.last_window() from public;
