-- Writes the rows of the next keys of a repair into the outbox: as a snapshot, or as a deletion where there
-- is no row.
--
-- returns   the request as it stands then
create or replace function pgevents.send_keys(
    request pgevents.snapshot_request, captured pgevents.captured_table
)
returns pgevents.snapshot_request
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    sent bigint;
begin
    execute pgevents.send_keys_sql(captured) using request.keys, request.keys_taken, request.chunk;
    get diagnostics sent = row_count;
    request.row_count := request.row_count + sent;
    request.keys_taken := request.keys_taken + cardinality(request.chunk);
    if request.keys_taken >= json_array_length(request.keys) then
        request.state := 'finished';
        request.finished_at := clock_timestamp();
        request.chunk := null;
        request.waits_for := null;
    end if;
    return request;
end
$$;

revoke all on function pgevents.send_keys(pgevents.snapshot_request, pgevents.captured_table) from public;
