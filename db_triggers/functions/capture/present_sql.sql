-- A lateral subquery for the row that a captured table has now under the key of another row: "present", with
-- the columns here (true) and a1, a2, … Each key is looked up by itself (offset 0), never by a join that
-- might be planned as a scan of the whole table.
create or replace function pgevents.present_sql(captured pgevents.captured_table, row_name text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'lateral (select true as here, %s from %s as t where %s offset 0) as present',
        pgevents.values_sql(captured, 't', '%1$s as a%2$s', true), captured.relation::regclass,
        pgevents.same_key_sql(captured, 't', row_name)
    )
$$;

revoke all on function pgevents.present_sql(pgevents.captured_table, text) from public;
