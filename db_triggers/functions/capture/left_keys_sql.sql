-- The keys that the rows of one statement have left, as a subquery: all those of a DELETE, and those that an
-- UPDATE has taken from a row. A full join, as in capture_update_sql.
create or replace function pgevents.left_keys_sql(
    captured pgevents.captured_table, event text, old_rows text, new_rows text
)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case event
        when 'DELETE' then old_rows
        when 'UPDATE' then format(
            '(select %s'
            ' from (select pg_catalog.row_number() over () as "!position", o.* from %s as o) as o'
            ' full join (select pg_catalog.row_number() over () as "!position", n.* from %s as n) as n'
            ' on %s where n."!position" is null or n."!position" operator(pg_catalog.<>) o."!position")',
            (select string_agg(format('o.%I', k.name), ', ') from unnest(captured.key) as k (name)),
            old_rows, new_rows, pgevents.same_key_sql(captured, 'o', 'n')
        )
    end
$$;

revoke all on function pgevents.left_keys_sql(pgevents.captured_table, text, text, text) from public;
