-- Asks for rows of a captured table to be sent to its targets through the outbox. The drain does it, chunk by
-- chunk, beside the changes that go on; a request wakes it.
--
-- table_name   the table as pipeline.toml names it
-- kind         backfill: every row; baseline: every row, and then what was older goes from the targets;
--              repair: the rows of some keys, where a key without a row is deleted
-- keys         for repair alone: an array of objects, each of the key's columns and their values as text
-- reason       what an operator should read about it
-- returns      the request's number
-- raises       when the table is not captured, and for a kind or keys that are none
--
-- Example: select pgevents.request_snapshot('public.account', 'repair', '[{"id": "7"}]', 'reconcile')
create or replace function pgevents.request_snapshot(table_name text, kind text, keys json, reason text)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    captured pgevents.captured_table;
    id bigint;
begin
    select * into captured from pgevents.captured_table as c where c.name = table_name and c.ended is null;
    if not found then
        raise 'table % is not captured', table_name using
            errcode = 'undefined_table',
            detail = (
                select 'its capture has ended: ' || c.ended
                from pgevents.captured_table as c
                where c.name = table_name order by c.table_id desc limit 1
            );
    end if;
    if kind = 'repair' then
        perform pgevents.check_keys(captured, keys);
    elsif kind not in ('backfill', 'baseline') then
        raise 'there is no snapshot of kind %; expected backfill, baseline or repair', kind
            using errcode = 'invalid_parameter_value';
    elsif keys is not null then
        raise 'a % takes no keys', kind using errcode = 'invalid_parameter_value';
    end if;
    -- One that has not begun yet does as well.
    select r.request_id into id
    from pgevents.snapshot_request as r
    where r.table_id = captured.table_id and r.kind = request_snapshot.kind and r.kind <> 'repair'
        and r.state = 'waiting'
    order by r.request_id limit 1
    for share;
    if not found then
        insert into pgevents.snapshot_request (table_id, kind, keys, reason)
        values (captured.table_id, kind, keys, reason)
        returning request_id into id;
    end if;
    return id;
end
$$;

revoke all on function pgevents.request_snapshot(text, text, json, text) from public;
