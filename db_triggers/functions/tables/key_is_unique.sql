-- Whether the database keeps a captured table's key unique at every moment: by a constraint on it, or on a
-- part of it, that cannot be deferred.
create or replace function pgevents.key_is_unique(captured pgevents.captured_table)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from pg_constraint
        where conrelid = captured.relation and contype in ('p', 'u') and not condeferrable
            and conkey <@ captured.key_attnums
    )
$$;

revoke all on function pgevents.key_is_unique(pgevents.captured_table) from public;
