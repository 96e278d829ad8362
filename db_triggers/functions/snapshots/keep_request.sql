-- Writes down how far a request has come, and draws the numbers of its next chunk; see advance_snapshots.
create or replace function pgevents.keep_request(
    request pgevents.snapshot_request, captured pgevents.captured_table, chunk_rows integer
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if request.state = 'waiting' then
        request.state := 'running';
        request.started_at := clock_timestamp();
        request.expected_rows := coalesce(json_array_length(request.keys), pgevents.expected_rows(captured));
    end if;
    if request.state = 'running' then
        if request.kind = 'baseline' and request.floor_seq is null then
            -- It answers all that baseline_behind_snapshot has asked for: what those are about has committed
            -- and has smaller numbers than the floor. Nobody waits for them by their own.
            delete from pgevents.snapshot_request as r
            where r.table_id = request.table_id and r.state = 'waiting' and r.request_id <> request.request_id
                and r.reason = pgevents.old_snapshot_reason();
            request.floor_seq := nextval('pgevents.event_seq');
        end if;
        request.chunk := array(
            select nextval('pgevents.event_seq')
            from generate_series(
                1, least(chunk_rows, coalesce(json_array_length(request.keys) - request.keys_taken, chunk_rows))
            )
        );
        -- Only now: whoever draws after this draws a greater number.
        request.waits_for := pgevents.writers_of(captured.relation);
    end if;
    update pgevents.snapshot_request as r
    set state = request.state, started_at = request.started_at, finished_at = request.finished_at,
        row_count = request.row_count, expected_rows = request.expected_rows, floor_seq = request.floor_seq,
        part = request.part, part_file = request.part_file, place = request.place,
        keys_taken = request.keys_taken, chunk = request.chunk, waits_for = request.waits_for
    where r.request_id = request.request_id;
end
$$;

revoke all on function pgevents.keep_request(
    pgevents.snapshot_request, pgevents.captured_table, integer
)
from public;
