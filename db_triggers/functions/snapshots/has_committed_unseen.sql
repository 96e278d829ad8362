-- Whether a transaction with a smaller number than this one has committed that the present snapshot does not
-- show. Where more have begun since than should be asked about, it says so unasked.
create or replace function pgevents.has_committed_unseen(upto xid8)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    most_asked constant bigint := 10000;
    next_unseen constant bigint := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
begin
    return upto::text::bigint - next_unseen > most_asked or exists (
        select from pg_snapshot_xip(pg_current_snapshot()) as was_running (xid)
        where pg_xact_status(was_running.xid) = 'committed'
    ) or exists (
        select from generate_series(next_unseen, upto::text::bigint - 1) as later (number)
        where pg_xact_status(later.number::text::xid8) = 'committed'
    );
end
$$;

revoke all on function pgevents.has_committed_unseen(xid8) from public;
