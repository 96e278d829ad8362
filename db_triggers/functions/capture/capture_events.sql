-- What there is a capture function for: SQL's own events, and those that only partitioned tables have.
create or replace function pgevents.capture_events()
returns text[]
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select '{INSERT,UPDATE,DELETE,TRUNCATE,TRUNCATE_ALL,TRUNCATE_PART,MERGE,MERGE_INSERT,MERGE_DELETE,MERGE_ROW}'::text[]
$$;

revoke all on function pgevents.capture_events() from public;
