-- Raises when this is not an array of keys of a captured table; see request_snapshot.
create or replace function pgevents.check_keys(captured pgevents.captured_table, keys json)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if json_typeof(keys) is distinct from 'array' or exists (
        select from json_array_elements(keys) as given (key)
        where json_typeof(given.key) <> 'object' or exists (
            select from unnest(captured.key) as part (name) where given.key ->> part.name is null
        )
    ) then
        raise 'the keys of % to repair are to be an array of objects with %, none of them null',
            captured.name, array_to_string(captured.key, ', ')
            using errcode = 'invalid_parameter_value';
    end if;
end
$$;

revoke all on function pgevents.check_keys(pgevents.captured_table, json) from public;
