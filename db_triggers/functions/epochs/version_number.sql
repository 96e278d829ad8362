-- A version as one number, as every sink stores it: it sorts by epoch, then by seq.
create or replace function pgevents.version_number(epoch integer, seq bigint)
returns bigint
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select (epoch::bigint << 48) + seq
$$;

revoke all on function pgevents.version_number(integer, bigint) from public;
