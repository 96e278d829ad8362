-- Compares a batch that a sink says it holds with the ledger, and notes it for the next drain if it was lost.
--
-- Lost is a batch that was opened at another time than the ledger's of the same number, or that has a higher
-- number than any of the ledger's. An old token may be of a batch that the ledger has been purged of. A token
-- of an earlier epoch says nothing new, unless its batch belongs to that epoch still.
--
-- sink       its name in pipeline.toml
-- of_epoch, of_batch, opened   the batch as the sink knows it; when it was opened may be null
-- returns    whether it was lost
create or replace function pgevents.note_token(
    sink text, of_epoch integer, of_batch bigint, opened timestamptz
)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    present_epoch constant integer := (select s.epoch from pgevents.setting as s);
    same_number constant bigint := (
        select b.batch_id
        from pgevents.batch as b
        where
            b.batch_id = of_batch and b.opened_at <> opened and (b.epoch = of_epoch or of_epoch = present_epoch)
    );
begin
    if same_number is null and (
        of_epoch < present_epoch
        or of_epoch = present_epoch
        and of_batch <= (select coalesce(max(b.batch_id), 0) from pgevents.batch as b)
    ) then
        return false;
    end if;
    -- The restored state is older than the lost batch. So what was opened later was opened after the restore.
    insert into pgevents.lost_batch (sink, epoch, batch_id, opened_at, first_batch)
    select sink, of_epoch, of_batch, opened, least(same_number, min(b.batch_id))
    from pgevents.batch as b
    where b.opened_at >= opened
    on conflict on constraint lost_batch_once do nothing;
    return true;
end
$$;

revoke all on function pgevents.note_token(text, integer, bigint, timestamptz) from public;
