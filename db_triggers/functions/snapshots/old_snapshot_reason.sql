-- The reason of the baselines that capture itself asks for; see baseline_behind_snapshot.
create or replace function pgevents.old_snapshot_reason()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select 'a partition was truncated, attached or detached by a transaction with an old snapshot'
$$;

revoke all on function pgevents.old_snapshot_reason() from public;
