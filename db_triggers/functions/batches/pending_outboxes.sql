-- The outbox tables that hold anything at all: what a drain has to look into.
--
-- returns   layout, half and the outbox table
create or replace function pgevents.pending_outboxes()
returns table (layout_id integer, half integer, outbox regclass)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select l.layout_id, h.half, o.outbox
    from pgevents.layout as l
    cross join (values (0), (1)) as h (half)
    cross join lateral (
        select to_regclass(format('pgevents.outbox_%s_%s', l.layout_id, h.half)) as outbox
    ) as o
    where o.outbox is not null and pg_relation_size(o.outbox) > 0
$$;

revoke all on function pgevents.pending_outboxes() from public;
