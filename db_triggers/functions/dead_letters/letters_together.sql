-- The dead letters that have to be sent again together: those asked for and every other one that waits for
-- the same rows, and for the rows that those stand for, too: an UPDATE of a key belongs to two rows.
--
-- letters   which ones; those that are resolved or are being sent again are left out, and so are those older
--           than pgevents.replay_limit()
-- returns   the numbers of the letters
create or replace function pgevents.letters_together(letters bigint[])
returns setof bigint
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive held_row (table_name, key) as (
        select d.table_name, d.key from pgevents.dead_key as d where d.dead_letter_id = any (letters)
        union
        select also.table_name, also.key
        from held_row as r
        inner join pgevents.dead_key as d
            on d.table_name = r.table_name and d.key_hash = pgevents.key_hash(r.key) and d.key = r.key
        inner join pgevents.dead_key as also on also.dead_letter_id = d.dead_letter_id
    ),

    wanted (dead_letter_id) as (
        select unnest(letters)
        union
        select d.dead_letter_id
        from held_row as r
        inner join pgevents.dead_key as d
            on d.table_name = r.table_name and d.key_hash = pgevents.key_hash(r.key) and d.key = r.key
    )

    select l.dead_letter_id
    from pgevents.dead_letter as l
    inner join wanted as w on l.dead_letter_id = w.dead_letter_id
    where
        l.resolved_at is null and l.replay_batch_id is null
        and l.died_at > clock_timestamp() - pgevents.replay_limit()
$$;

revoke all on function pgevents.letters_together(bigint[]) from public;
