-- Which database this is, as far as the caller may know it; see the table pgevents.epoch.
--
-- The timeline is asked of the log that is being written: the control file learns of a promotion only with
-- the next checkpoint.
create or replace function pgevents.source_identity()
returns table (system_identifier bigint, timeline integer, database_oid oid, ledger_oid oid)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    database_oid := (select d.oid from pg_database as d where d.datname = current_database());
    ledger_oid := 'pgevents.batch'::regclass;
    begin
        system_identifier := (select s.system_identifier from pg_control_system() as s);
    exception
        when insufficient_privilege or undefined_function or feature_not_supported then null;
    end;
    begin
        timeline := ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer;
    exception
        when insufficient_privilege or undefined_function or feature_not_supported then null;
    end;
    return next;
end
$$;

revoke all on function pgevents.source_identity() from public;
