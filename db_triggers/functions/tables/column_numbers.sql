-- The numbers of a table's columns by their names.
--
-- raises   when there is no such column
create or replace function pgevents.column_numbers(relation oid, names text[])
returns smallint[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    numbers constant smallint[] := array(
        select a.attnum
        from unnest(names) with ordinality as wanted (name, position)
        left join pg_attribute as a on a.attrelid = relation and wanted.name = a.attname and not a.attisdropped
        order by wanted.position
    );
begin
    if array_position(numbers, null) is not null then
        raise 'column "%" of % does not exist', names[array_position(numbers, null)], relation::regclass
            using errcode = 'undefined_column';
    end if;
    return numbers;
end
$$;

revoke all on function pgevents.column_numbers(oid, text[]) from public;
