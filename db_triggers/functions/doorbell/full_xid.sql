-- A transaction's number in full: of all that end in these 32 bits, the one that is nearest to the present.
create or replace function pgevents.full_xid(short xid)
returns xid8
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case
        -- Not of a transaction at all, but of rows that are older than any of them.
        when short::text::bigint < 3 then '1'::xid8
        else (now.xid + ((short::text::bigint - now.xid) & 4294967295)
            - case when ((short::text::bigint - now.xid) & 4294967295) > 2147483647 then 4294967296 else 0 end
        )::text::xid8
    end
    from (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint) as now (xid)
$$;

revoke all on function pgevents.full_xid(xid) from public;
