-- For rows of a table, the first of their events that wait in the dead-letter store, where there is one.
--
-- Each row is looked up by itself, so that it costs the same beside a hundred thousand letters as beside one.
--
-- of_table   schema.table
-- keys       the rows' keys, each a JSON array of texts
-- besides    a replay batch, whose own letters do not count
-- returns    the key as it was given, and the version of the first event that waits
create or replace function pgevents.first_dead(of_table text, keys text[], besides bigint)
returns table (key text, version bigint)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select asked.key, held.version
    from unnest(keys) as asked (key)
    cross join lateral (
        select d.version
        from pgevents.dead_key as d
        where
            d.table_name = of_table
            and d.key_hash = pgevents.key_hash(asked.key::jsonb)
            and d.key = asked.key::jsonb
            and (besides is null or not exists (
                select from pgevents.dead_letter as l
                where l.dead_letter_id = d.dead_letter_id and l.replay_batch_id = besides
            ))
        order by d.version
        limit 1
    ) as held
$$;

revoke all on function pgevents.first_dead(text, text[], bigint) from public;
