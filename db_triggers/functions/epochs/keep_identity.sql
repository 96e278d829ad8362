-- Notes which database this is when nobody has done so yet: at the first installation, and at the upgrade
-- from a version that did not. What could not be asked then and can be now is added.
create or replace function pgevents.keep_identity()
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    insert into pgevents.epoch (epoch, reason, system_identifier, timeline, database_oid, ledger_oid)
    select s.epoch, 'capture was installed', i.system_identifier, i.timeline, i.database_oid, i.ledger_oid
    from pgevents.setting as s
    cross join pgevents.source_identity() as i
    where not exists (select from pgevents.epoch);

    update pgevents.epoch as e
    set system_identifier = coalesce(e.system_identifier, i.system_identifier),
        timeline = coalesce(e.timeline, i.timeline)
    from pgevents.source_identity() as i
    where e.epoch = (select max(latest.epoch) from pgevents.epoch as latest)
        and (
            e.system_identifier is null and i.system_identifier is not null
            or e.timeline is null and i.timeline is not null
        );
$$;

revoke all on function pgevents.keep_identity() from public;
