-- Notes once a day how far every sink has come, and says which tombstones have done their service.
--
-- A tombstone keeps an older change of its row from bringing the row back. Such a change may wait in an
-- unfinished batch or a dead letter, or be delivered once more, late. So a tombstone may go when every change
-- older than itself had been taken a month ago, and none waits now.
--
-- keep      for how long after that, such as a month
-- returns   the version below which tombstones may go, 0 while none may; null when the day is not over yet
create or replace function pgevents.pass_horizon(keep interval)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    now constant timestamptz := clock_timestamp();
    passed_at timestamptz;
    waiting bigint;
begin
    -- One that lies in the future says nothing: the clock was set back.
    if exists (
        select from pgevents.horizon as h where h.noted_at > now - interval '1 day' and h.noted_at <= now
    ) then
        return null;
    end if;
    waiting := least(
        (
            select min(pgevents.version_number(b.epoch, b.seq_from))
            from pgevents.batch as b
            where b.kind = 'window' and b.state not in ('applied', 'dead')
        ),
        (
            select min(pgevents.version_number(l.epoch, l.seq))
            from pgevents.dead_letter as l
            where l.resolved_at is null
        ),
        (
            select pgevents.version_number(s.epoch, coalesce(pg_sequence_last_value('pgevents.event_seq'), 0))
            from pgevents.setting as s
        )
    );
    insert into pgevents.horizon (noted_at, version) values (now, waiting)
    on conflict (noted_at) do update set version = least(horizon.version, excluded.version);
    select max(h.noted_at) into passed_at from pgevents.horizon as h where h.noted_at <= now - keep;
    if passed_at is null then
        return 0;
    end if;
    delete from pgevents.horizon where noted_at < passed_at;
    -- The least of all since then: a day that was noted under a wrong date is not taken for an old one.
    return least((select min(h.version) from pgevents.horizon as h where h.noted_at >= passed_at), waiting);
end
$$;

revoke all on function pgevents.pass_horizon(interval) from public;
