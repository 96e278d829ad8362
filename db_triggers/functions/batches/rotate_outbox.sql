-- Gives back the space of applied events: empties the half that is not written to, and, once that is empty
-- and the other has grown, lets the writers change over.
--
-- A half is truncated only when, under a lock that shuts out every writer, all that is left in it is visible
-- in the snapshot before which everything is applied. So a transaction that still writes into the old half
-- after the change-over loses nothing: its lock keeps the half from being truncated, and later its events do.
-- The lock is never waited for.
--
-- full_bytes   how large the written half must be before the writers change over, long values that are stored
--              apart included
create or replace function pgevents.rotate_outbox(full_bytes bigint)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    applied constant pg_snapshot := pgevents.applied_through();
    sealed constant integer := 1 - pg_sequence_last_value('pgevents.outbox_half');
    pending record;
    written_bytes bigint := 0;
    all_empty boolean := true;
begin
    for pending in select o.half, o.outbox, o.layout_id from pgevents.pending_outboxes() as o loop
        if pending.half = sealed then
            all_empty := pgevents.empty_outbox(pending.layout_id, pending.half, applied) and all_empty;
        else
            written_bytes := written_bytes + pg_table_size(pending.outbox);
        end if;
    end loop;
    if all_empty and written_bytes >= full_bytes then
        perform setval('pgevents.outbox_half', sealed);
    end if;
end
$$;

revoke all on function pgevents.rotate_outbox(bigint) from public;
