-- Asks for a baseline of every captured table. Requests that are under way start again as one: what they have
-- sent belongs to an earlier epoch.
create or replace function pgevents.baseline_tables(asked_because text)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    update pgevents.snapshot_request as r
    set kind = 'baseline', state = 'waiting', reason = concat_ws('; ', r.reason, asked_because),
        row_count = 0, floor_seq = null, part = null, part_file = null, place = null,
        chunk = null, waits_for = null
    where r.state in ('waiting', 'running') and r.kind <> 'repair';

    update pgevents.snapshot_request as r
    set chunk = null, waits_for = null
    where r.state in ('waiting', 'running') and r.kind = 'repair';

    -- Whoever begins an epoch is the drain itself: nobody need be woken.
    select set_config('pgevents.rung', '1', true);

    insert into pgevents.snapshot_request (table_id, kind, reason)
    select c.table_id, 'baseline', asked_because
    from pgevents.captured_table as c
    where c.ended is null and not exists (
        select from pgevents.snapshot_request as r
        where r.table_id = c.table_id and r.state in ('waiting', 'running') and r.kind <> 'repair'
    );
$$;

revoke all on function pgevents.baseline_tables(text) from public;
