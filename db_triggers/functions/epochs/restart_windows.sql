-- Lets windows start anew at the present snapshot, where transaction numbers have: by the old ones neither
-- the batches that were open nor the events that waited can be told any more. They are given up; a baseline
-- of every table makes up for them in the targets.
create or replace function pgevents.restart_windows(new_epoch integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    starts_at constant pg_snapshot := pg_current_snapshot();
    outbox regclass;
begin
    update pgevents.epoch as e set window_from = starts_at where e.epoch = new_epoch;
    update pgevents.batch as b set state = 'dead' where b.kind = 'window' and b.state not in ('applied', 'dead');
    -- A replay is read from the dead letters, but its window says how far the outbox may be emptied.
    update pgevents.batch as b
    set window_from = starts_at, window_to = starts_at
    where b.kind = 'replay' and b.state not in ('applied', 'dead');
    for outbox in select o.outbox from pgevents.pending_outboxes() as o loop
        -- By the rows' own transactions, those of this database. What commits later is for the new windows.
        execute format(
            'delete from %s where pg_visible_in_snapshot(pgevents.full_xid(xmin), %L)', outbox, starts_at
        );
    end loop;
end
$$;

revoke all on function pgevents.restart_windows(integer) from public;
