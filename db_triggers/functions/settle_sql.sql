-- The statements that put right what a nested statement did to the order of capture.
--
-- A trigger of the application may change the same table inside a statement on it. The nested statement ends,
-- and is captured, before the outer one, although its change of a row is the later one. After the outer capture,
-- therefore, each of its rows is captured once more as it now stands: as a snapshot, or as a deletion.
--
-- returns   statements for plpgsql; only a transaction with nested statements on this table ever runs them
create or replace function pgevents.settle_sql(
    captured pgevents.captured_table, shape pgevents.layout, event text, half integer
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    touched constant text [] := case event
        when 'INSERT' then '{new_rows}' when 'DELETE' then '{old_rows}' else '{old_rows,new_rows}'
    end;
    same_row constant text := (
        select string_agg(format('n.%1$I operator(pg_catalog.=) t.%1$I', k.name), ' and ')
        from unnest(captured.key) as k (name)
    );
    was_touched constant text := (
        select string_agg(format('exists (select from %s as n where %s)', rows.name, same_row), ' or ')
        from unnest(touched) as rows (name)
    );
begin
    return format(
        'insert into pgevents.outbox_%1$s_%2$s (op, %3$s) select ''S'', %4$s from %5$s as t where %6$s;'
        ' insert into pgevents.outbox_%1$s_%2$s (op, %7$s) select ''D'', %4$s from %8$s as t'
        ' where not exists (select from %5$s as n where %9$s)',
        shape.layout_id, half, pgevents.column_list(shape, 'a%1$s'), pgevents.column_list(shape, 't.%2$I::%3$s'),
        captured.relation::regclass, was_touched,
        pgevents.column_list(shape, 'b%1$s'), touched[cardinality(touched)], same_row
    );
end
$$;

revoke all on function pgevents.settle_sql(pgevents.captured_table, pgevents.layout, text, integer) from public;
