-- The hash of a row's key, by which pgevents.dead_key finds it.
--
-- key   the values of the key's columns, as a JSON array of texts
create or replace function pgevents.key_hash(key jsonb)
returns bigint
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select hashtextextended(key::text, 0)
$$;

revoke all on function pgevents.key_hash(jsonb) from public;
