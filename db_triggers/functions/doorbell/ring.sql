-- The doorbell: a deferred trigger of every outbox table, fired by the first event of a transaction at its
-- commit. While a drain is awake it holds the lock and there is nothing to do; otherwise the transform Lambda
-- is woken. A ring carries no data and may be lost: the sweep finds what it left.
--
-- From here to the end of its transaction, over savepoints and PREPARE TRANSACTION too, it holds a lock of
-- its own, taken before it tries the drain's. A drain that has let go of that one waits for whoever holds one
-- of these (see committing): it may have rung nobody and not be visible yet. The key is the session, so that
-- no two ever meet at one lock. Nothing is waited for here.
--
-- Without a pinned search_path, which would be set at every commit; every name in it is qualified instead.
create or replace function pgevents.ring()
returns trigger
language plpgsql
security definer
as $$
begin
    -- One expression: nothing can be cancelled within it, and the drain's lock, once taken, is the session's.
    -- CASE, because it keeps the order.
    if (case
        when pg_catalog.pg_try_advisory_xact_lock_shared(1885828472, pg_catalog.pg_backend_pid()) is null then false
        when pg_catalog.pg_try_advisory_lock_shared(1885828470, 0)
            then pg_catalog.pg_advisory_unlock_shared(1885828470, 0)
        else false
    end) then
        perform pgevents.wake_drain();
    end if;
    return null;
end
$$;

revoke all on function pgevents.ring() from public;
