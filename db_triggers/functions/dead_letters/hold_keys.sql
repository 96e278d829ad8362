-- Lets the rows of dead letters hold their later events back, from these letters on.
--
-- of_epoch, seqs   which letters: those of them that wait
create or replace function pgevents.hold_keys(of_epoch integer, seqs bigint[])
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    insert into pgevents.dead_key (dead_letter_id, position, table_name, key_hash, key, version)
    select
        l.dead_letter_id, k.position, l.table_name, pgevents.key_hash(v.key), v.key,
        pgevents.version_number(l.epoch, l.seq)
    from pgevents.dead_letter as l
    cross join lateral json_array_elements(l.keys) with ordinality as k (columns, position)
    cross join lateral (
        select jsonb_agg(c.value order by c.ordinality) as key
        from json_each_text(k.columns) with ordinality as c
    ) as v
    where l.epoch = of_epoch and l.seq = any (seqs) and l.replay_batch_id is null and l.resolved_at is null
    on conflict do nothing
$$;

revoke all on function pgevents.hold_keys(integer, bigint[]) from public;
