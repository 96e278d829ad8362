-- What a new epoch brings with it; see begin_epoch.
--
-- Numbers never run backwards within a database, whatever became of the sequence: events that were captured
-- before the restore and those after it may meet in one batch. The margin is for writers who draw meanwhile.
create or replace function pgevents.enter_epoch(new_epoch integer, reason text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    margin constant bigint := 1000000000;
    is_logical_copy constant boolean := (
        select i.ledger_oid <> e.ledger_oid
        from pgevents.source_identity() as i
        cross join pgevents.epoch as e
        order by e.epoch desc limit 1
    );
    highest constant bigint := greatest(
        (select max(b.seq_to) from pgevents.batch as b), (select max(d.seq) from pgevents.dead_letter as d),
        pgevents.highest_seq()
    );
begin
    if highest > coalesce(pg_sequence_last_value('pgevents.event_seq'), 0) then
        perform setval('pgevents.event_seq', highest + margin);
    end if;
    insert into pgevents.epoch (epoch, reason, system_identifier, timeline, database_oid, ledger_oid)
    select new_epoch, enter_epoch.reason, i.system_identifier, i.timeline, i.database_oid, i.ledger_oid
    from pgevents.source_identity() as i;
    if is_logical_copy or pgevents.is_ahead_of_xids() then
        perform pgevents.restart_windows(new_epoch);
    end if;
    if is_logical_copy then
        perform pgevents.relink_tables();
    end if;
    perform pgevents.baseline_tables(reason);
end
$$;

revoke all on function pgevents.enter_epoch(integer, text) from public;
