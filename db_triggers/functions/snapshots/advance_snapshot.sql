-- Moves one request for a snapshot forward, if it can be moved without waiting; see advance_snapshots.
--
-- What cannot be done for this table ends the request with its error, and never the drain that called. What
-- the server could not do for the moment is tried again.
create or replace function pgevents.advance_snapshot(of_request bigint, chunk_rows integer)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    request pgevents.snapshot_request;
    captured pgevents.captured_table;
begin
    -- A drain that lost its lock unnoticed may still be at it.
    select * into request
    from pgevents.snapshot_request as r
    where r.request_id = of_request and r.state in ('waiting', 'running')
    for update skip locked;
    if not found or pgevents.is_any_running(request.waits_for) then
        return false;
    end if;
    select * into strict captured from pgevents.captured_table as c where c.table_id = request.table_id;
    if captured.ended is not null then
        raise 'capture of % has ended (%); capture it again and ask again', captured.name, captured.ended;
    end if;
    -- With its partitions: to list these waits for their locks, too.
    execute format('lock table %s in access share mode nowait', captured.relation::regclass);
    if request.chunk is not null then
        perform set_config('pgevents.rung', '1', true);
        if request.kind = 'repair' then
            request := pgevents.send_keys(request, captured);
        else
            request := pgevents.send_rows(request, captured);
        end if;
    end if;
    perform pgevents.keep_request(request, captured, chunk_rows);
    return true;
exception
    when lock_not_available or deadlock_detected or serialization_failure then
        return false;
    when insufficient_resources or operator_intervention or system_error then
        raise;
    when others then
        update pgevents.snapshot_request as r
        set state = 'failed', error = sqlerrm, finished_at = clock_timestamp()
        where r.request_id = of_request;
        return true;
end
$$;

revoke all on function pgevents.advance_snapshot(bigint, integer) from public;
