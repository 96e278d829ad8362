-- Writes rows of one partition, or of a table without any, into the outbox, as snapshots.
--
-- after_place   where the last row lay that has been sent
-- numbers       those of the events; at most so many rows are sent
-- most_pages    how much is read at most
-- returns       how many rows were sent and pages read, where the last one lay, and whether nothing is left
create or replace function pgevents.send_part(
    captured pgevents.captured_table, part oid, after_place tid, numbers bigint[], most_pages bigint
)
returns table (row_count bigint, page_count bigint, place tid, at_end boolean)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    pages_a_step constant bigint := 128;
    send constant text := pgevents.send_part_sql(captured, part);
    page bigint := (after_place::text::point)[0]::bigint;
    upto bigint;
    sent record;
begin
    row_count := 0;
    page_count := 0;
    place := after_place;
    loop
        at_end := page >= pg_relation_size(part) / current_setting('block_size')::bigint;
        exit when at_end or page_count >= most_pages or row_count >= cardinality(numbers);
        upto := page + pages_a_step;
        execute send using place, format('(%s,0)', upto)::tid, numbers[row_count + 1:] into sent;
        row_count := row_count + sent.row_count;
        page_count := page_count + pages_a_step;
        if row_count >= cardinality(numbers) then
            place := sent.last_place;
        else
            place := format('(%s,0)', upto);
            page := upto;
        end if;
    end loop;
    return next;
end
$$;

revoke all on function pgevents.send_part(pgevents.captured_table, oid, tid, bigint[], bigint) from public;
