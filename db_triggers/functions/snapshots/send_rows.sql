-- Writes the rows of the next chunk of a table into the outbox, as snapshots.
--
-- In the order in which they lie: every table has one, whatever its key is. A row that moves meanwhile,
-- within the table or between partitions, has been changed, and what changed it has an event with the whole
-- row. So has a row of a partition that comes. A partition that was rewritten is read again from its start.
--
-- returns   the request as it stands then
create or replace function pgevents.send_rows(
    request pgevents.snapshot_request, captured pgevents.captured_table
)
returns pgevents.snapshot_request
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    -- So that a chunk of a table that is nearly empty takes no more time than any other.
    most_pages constant bigint := 8192;
    pages_left bigint := most_pages;
    numbers bigint[] := request.chunk;
    sent record;
    each_part oid;
begin
    for each_part in
        select p.part::oid
        from pgevents.table_parts(captured.relation) as p
        where p.is_leaf and p.part::oid >= coalesce(request.part, 0::oid) order by p.part::oid
    loop
        if (request.part, request.part_file) is distinct from (each_part, pg_relation_filenode(each_part)) then
            request.part := each_part;
            request.part_file := pg_relation_filenode(each_part);
            request.place := '(0,0)';
        end if;
        select * into strict sent
        from pgevents.send_part(captured, each_part, request.place, numbers, pages_left);
        request.row_count := request.row_count + sent.row_count;
        request.place := sent.place;
        numbers := numbers[sent.row_count + 1:];
        pages_left := pages_left - sent.page_count;
        if not sent.at_end then
            return request;
        end if;
    end loop;
    if request.kind = 'baseline' then
        perform pgevents.send_floor(request, captured);
    end if;
    request.state := 'finished';
    request.finished_at := clock_timestamp();
    request.chunk := null;
    request.waits_for := null;
    return request;
end
$$;

revoke all on function pgevents.send_rows(pgevents.snapshot_request, pgevents.captured_table) from public;
