-- Turns everything that has committed since the last window into batches of the ledger.
--
-- A window is what one snapshot sees and the one before it did not: the only cut that neither loses an event
-- of a transaction that commits late, nor waits for one that does not commit at all. It is cut by seq into
-- batches of bounded size, each of which can be read again unchanged until it is applied.
--
-- batch_events   the most events of a batch
-- batch_bytes    about how heavy a batch may be; an event that is heavier is a batch by itself
-- most_shards    into how many shards a window is split that makes more than one batch
-- returns        how many batches were opened
create or replace function pgevents.open_batches(
    batch_events integer, batch_bytes integer default 8388608, most_shards integer default 1
)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    earlier pg_snapshot;
    latest pg_snapshot;
    -- No event weighs less than 100 (see weight_sql).
    most constant integer := least(batch_events, batch_bytes / 100);
    -- Cut between slices of a 64th, a batch is hardly smaller than it may be.
    width integer := greatest(most / 64, 1);
    opened integer;
begin
    -- A drain whose lock was taken from it may still be here: two windows must never overlap.
    perform pg_advisory_xact_lock(1885828470, 1);
    earlier := pgevents.last_window();
    latest := pg_current_snapshot();
    loop
        opened := pgevents.cut_window(earlier, latest, most, batch_bytes, width, most_shards);
        exit when opened is not null;
        width := greatest(width / 16, 1);
    end loop;
    return opened;
end
$$;

revoke all on function pgevents.open_batches(integer, integer, integer) from public;
