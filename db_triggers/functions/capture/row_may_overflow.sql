-- Whether the row before and the row after a change may be too large together for one row of the outbox. A
-- row has to fit into a page, where a long value takes no more than a pointer, and every other one its width.
create or replace function pgevents.row_may_overflow(shape pgevents.layout)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select 2 * sum(case when t.typlen > 0 then greatest(t.typlen, 8) else 20 end) > 7900
    from unnest(shape.types) as c (type)
    inner join pg_type as t on t.oid = c.type::regtype
$$;

revoke all on function pgevents.row_may_overflow(pgevents.layout) from public;
