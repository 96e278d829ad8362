-- Brings the outbox and the capture functions of a table in line with the columns that it has now.
--
-- captured_table_id   the table
-- raises              when a key column is gone
create or replace function pgevents.build_layout(captured_table_id integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    captured constant pgevents.captured_table := pgevents.renew_names(captured_table_id);
    current_shape pgevents.layout;
    new_shape pgevents.layout;
    event text;
begin
    select * into current_shape from pgevents.layout where table_id = captured_table_id and not retired;
    select captured_table_id, captured.key, array_agg(c.name), array_agg(c.type)
    into new_shape.table_id, new_shape.key, new_shape.columns, new_shape.types
    from pgevents.outbox_columns(captured.relation, captured.exclude) as c;

    if (current_shape.columns, current_shape.types, current_shape.key)
        is distinct from (new_shape.columns, new_shape.types, new_shape.key) then
        update pgevents.layout set retired = true where layout_id = current_shape.layout_id;
        insert into pgevents.layout (table_id, columns, types, key)
        values (captured_table_id, new_shape.columns, new_shape.types, new_shape.key)
        returning * into current_shape;
        perform pgevents.build_outbox(current_shape);
    end if;
    foreach event in array pgevents.capture_events() loop
        perform pgevents.build_function(captured, current_shape, event);
    end loop;
end
$$;

revoke all on function pgevents.build_layout(integer) from public;
