-- Writes the last event of a baseline: what targets hold that is older than its start is not in the table.
create or replace function pgevents.send_floor(
    request pgevents.snapshot_request, captured pgevents.captured_table
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    execute format(
        'insert into pgevents.outbox_%s_%s (op, seq) values (''B'', $1)',
        (select l.layout_id from pgevents.layout as l where l.table_id = captured.table_id and not l.retired),
        pg_sequence_last_value('pgevents.outbox_half')
    ) using request.floor_seq;
end
$$;

revoke all on function pgevents.send_floor(pgevents.snapshot_request, pgevents.captured_table) from public;
