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
    captured pgevents.captured_table;
    current_shape pgevents.layout;
    new_shape pgevents.layout;
    missing text;
    event text;
begin
    select * into strict captured from pgevents.captured_table where table_id = captured_table_id;
    select * into current_shape from pgevents.layout where table_id = captured_table_id and not retired;
    select captured_table_id, array_agg(c.name), array_agg(c.type)
    into new_shape.table_id, new_shape.columns, new_shape.types
    from pgevents.outbox_columns(captured.relation, captured.exclude) as c;

    select k.name into missing from unnest(captured.key) as k (name) where k.name <> all (new_shape.columns) limit 1;
    if found then
        raise 'key column "%" of % does not exist', missing, captured.name using errcode = 'undefined_column';
    end if;

    if current_shape.columns is distinct from new_shape.columns or current_shape.types is distinct from new_shape.types then
        update pgevents.layout set retired = true where layout_id = current_shape.layout_id;
        insert into pgevents.layout (table_id, columns, types)
        values (captured_table_id, new_shape.columns, new_shape.types)
        returning * into current_shape;
        perform pgevents.build_outbox(current_shape);
    end if;

    foreach event in array '{INSERT,UPDATE,DELETE,TRUNCATE,TRUNCATE_PART}'::text [] loop
        execute pgevents.capture_function_sql(captured, current_shape, event);
        execute format(
            'revoke all on function pgevents.capture_%s_%s() from public', captured_table_id, lower(event)
        );
    end loop;
end
$$;

revoke all on function pgevents.build_layout(integer) from public;
