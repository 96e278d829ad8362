-- The doorbell: a deferred trigger of every outbox table, fired by the first event of a transaction at its
-- commit. While a drain is awake it holds the lock and there is nothing to do; otherwise the transform Lambda
-- is woken. A ring carries no data and may be lost: the sweep finds what it left.
--
-- Without a pinned search_path, which would be set at every commit; every name in it is qualified instead.
create or replace function pgevents.ring()
returns trigger
language plpgsql
security definer
as $$
begin
    if pg_catalog.pg_try_advisory_lock_shared(1885828470, 0) then
        perform pg_catalog.pg_advisory_unlock_shared(1885828470, 0);
        perform pgevents.wake_drain();
    end if;
    return null;
end
$$;

revoke all on function pgevents.ring() from public;
