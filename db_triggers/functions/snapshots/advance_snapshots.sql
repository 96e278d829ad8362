-- Moves one request for a snapshot forward by one chunk: the oldest that can be moved.
--
-- For a row the events must come out right whatever happens to it meanwhile, and no row is locked for it:
--   1. The events of a chunk get their numbers before its rows are read.
--   2. Every transaction that could have drawn a smaller number for an event of the table must have ended. It
--      holds a lock on the table since before it drew, so the holders are noted once the numbers are drawn.
--      Nobody waits for them here: the request is left until another turn.
--   3. Then the rows are read. A change with a smaller number is in what is read; one with a greater number
--      has an event that is the later one in every target, whether it is in what is read or not.
--
-- chunk_rows   the size of a chunk
-- returns      what was done: the request, and its state, rows and error after that. No row when nothing
--              could be done, because nothing was asked for or all wait for transactions or locks of others
create or replace function pgevents.advance_snapshots(chunk_rows integer)
returns table (request_id bigint, table_name text, kind text, state text, row_count bigint, error text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    candidate bigint;
begin
    for candidate in
        select r.request_id
        from pgevents.snapshot_request as r where r.state in ('waiting', 'running') order by r.request_id
    loop
        if pgevents.advance_snapshot(candidate, chunk_rows) then
            return query
            select r.request_id, c.name, r.kind, r.state, r.row_count, r.error
            from pgevents.snapshot_request as r
            inner join pgevents.captured_table as c on r.table_id = c.table_id
            where r.request_id = candidate;
            return;
        end if;
    end loop;
end
$$;

revoke all on function pgevents.advance_snapshots(integer) from public;
