-- How old a dead letter may be that is sent again.
--
-- A sink remembers for thirty days that a row was deleted, and when. An older event than that could bring
-- the row back. What is too old is discarded, and the row put right by ./pgevents reconcile --repair.
create or replace function pgevents.replay_limit()
returns interval
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select interval '28 days'
$$;

revoke all on function pgevents.replay_limit() from public;
