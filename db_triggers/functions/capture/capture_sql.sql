-- The part of a capture function that writes the rows of one statement into one half of a layout's outbox.
--
-- captured   the table
-- shape      the layout that the outbox has
-- event      INSERT, UPDATE, DELETE or TRUNCATE
-- half       0 or 1
-- returns    plpgsql; new_rows and old_rows are the trigger's transition tables
create or replace function pgevents.capture_sql(
    captured pgevents.captured_table, shape pgevents.layout, event text, half integer
)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when event = 'UPDATE' then pgevents.capture_update_sql(captured, shape, half)
        when event <> 'TRUNCATE' and pgevents.is_partitioned(captured)
            then format(
                'if pgevents.note_merge(%s, -1) then null; else %s; end if', captured.table_id, written.rows
            )
        else written.rows
    end
    from format(
        case event
            when 'INSERT' then 'insert into %1$s (op, %2$s) select ''I'', %3$s from new_rows as n'
            when 'DELETE' then 'insert into %1$s (op, %4$s) select ''D'', %5$s from old_rows as o'
            when 'TRUNCATE' then 'insert into %1$s (op) values (''T'')'
        end,
        format('pgevents.outbox_%s_%s', shape.layout_id, half),
        pgevents.column_list(shape, 'a%1$s'), pgevents.values_sql(captured, 'n', '%1$s', false),
        pgevents.column_list(shape, 'b%1$s'), pgevents.values_sql(captured, 'o', '%1$s', false)
    ) as written (rows)
$$;

revoke all on function pgevents.capture_sql(pgevents.captured_table, pgevents.layout, text, integer)
from public;
