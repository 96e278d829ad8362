-- Captures every row of a partition that has come to a captured table, or that has left it.
--
-- op   S for rows that have come, D for rows that have gone
create or replace function pgevents.capture_part(captured pgevents.captured_table, part regclass, op "char")
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    shape pgevents.layout;
begin
    select * into strict shape from pgevents.layout where table_id = captured.table_id and not retired;
    execute format(
        'insert into pgevents.outbox_%s_%s (op, %s) select %L, %s from %s as r',
        shape.layout_id, pg_sequence_last_value('pgevents.outbox_half'),
        pgevents.column_list(shape, case op when 'S' then 'a%1$s' else 'b%1$s' end), op,
        pgevents.values_sql(captured, 'r', '%1$s', true), part
    );
    perform pgevents.baseline_behind_snapshot(captured.table_id, part);
end
$$;

revoke all on function pgevents.capture_part(pgevents.captured_table, regclass, "char") from public;
