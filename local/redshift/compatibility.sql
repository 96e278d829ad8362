-- What Redshift has and PostgreSQL lacks, in pg_catalog, so that every session finds it.
-- Applied at each start of the stand-in, under an advisory lock, by a superuser.

set local allow_system_table_mods = on;

do $$
begin
    if to_regtype('pg_catalog.super') is null then
        create domain pg_catalog.super as jsonb;
    end if;
    if to_regtype('pg_catalog.varbyte') is null then
        create domain pg_catalog.varbyte as bytea;
    end if;
end
$$;

-- A string of JSON may have 65,535 bytes, and an object no attribute twice: the server's defaults.
-- A literal has no type of its own and finds the function for text.
create or replace function pg_catalog.json_parse(document text) returns pg_catalog.super
immutable strict language plpgsql as $$
begin
    if octet_length(document) > 65535 then
        raise 'String value exceeds the max size of 65535 bytes' using errcode = 'XX000';
    end if;
    if not (document is json with unique keys) then
        raise 'JSON parsing error' using errcode = 'XX000', detail = left(document, 100);
    end if;
    return document::jsonb;
end
$$;

-- For columns the same as one expression, which PostgreSQL puts into the query: ten thousand calls cost more
-- than the parsing. Not for literals: it would do so for each of them.
create or replace function pg_catalog.json_parse(document varchar) returns pg_catalog.super
immutable language sql as $$
    select case
        when octet_length(document) <= 65535 and document is json with unique keys then document::jsonb
        else pg_catalog.json_parse(document::text)
    end::pg_catalog.super
$$;

create or replace function pg_catalog.can_json_parse(document varchar) returns boolean
immutable strict language sql as $$ select document is json with unique keys $$;

create or replace function pg_catalog.is_valid_json(document varchar) returns boolean
immutable strict language sql as $$ select document is json object $$;

create or replace function pg_catalog.json_serialize(document jsonb) returns varchar
immutable strict language sql as $$ select document::text::varchar $$;

create or replace function pg_catalog.json_typeof(document jsonb) returns varchar
immutable strict language sql as $$ select jsonb_typeof(document)::varchar $$;

create or replace function pg_catalog.get_array_length(document jsonb) returns integer
immutable strict language sql as $$
    select case when jsonb_typeof(document) = 'array' then jsonb_array_length(document) end
$$;

create or replace function pg_catalog.json_extract_path_text(document varchar, variadic path varchar[])
returns varchar immutable language sql as $$ select (document::jsonb #>> path::text[])::varchar $$;

create or replace function pg_catalog.getdate() returns timestamp
stable language sql as $$ select date_trunc('second', clock_timestamp() at time zone 'utc') $$;

create or replace function pg_catalog.len(value varchar) returns integer
immutable strict language sql as $$ select char_length(value) $$;

create or replace function pg_catalog.len(value bytea) returns integer
immutable strict language sql as $$ select octet_length(value) $$;

create or replace function pg_catalog.from_hex(digits varchar) returns pg_catalog.varbyte
immutable strict language sql as $$ select decode(digits, 'hex') $$;

create or replace function pg_catalog.to_hex(value bytea) returns varchar
immutable strict language sql as $$ select encode(value, 'hex')::varchar $$;

create or replace function pg_catalog.to_varbyte(value varchar, format varchar) returns pg_catalog.varbyte
immutable strict language sql as $$
    select case lower(format) when 'hex' then decode(value, 'hex') when 'base64' then decode(value, 'base64')
        else convert_to(value, 'UTF8') end
$$;

create or replace function pg_catalog.from_varbyte(value bytea, format varchar) returns varchar
immutable strict language sql as $$
    select case lower(format) when 'hex' then encode(value, 'hex') when 'base64' then encode(value, 'base64')
        else convert_from(value, 'UTF8') end::varchar
$$;

create or replace function pg_catalog.dateadd(part varchar, amount bigint, moment timestamp) returns timestamp
immutable strict language sql as $$
    select moment + case lower(part)
        when 'quarter' then make_interval(months => (3 * amount)::integer)
        when 'millisecond' then make_interval(secs => amount / 1e3)
        when 'microsecond' then make_interval(secs => amount / 1e6)
        else (amount || ' ' || part)::interval
    end
$$;

create or replace function pg_catalog.datediff(
    part varchar, earlier timestamp, later timestamp
) returns bigint
immutable strict language sql as $$
    select case lower(part)
        when 'year' then extract(year from later) - extract(year from earlier)
        when 'quarter' then (extract(year from later) - extract(year from earlier)) * 4
            + extract(quarter from later) - extract(quarter from earlier)
        when 'month' then (extract(year from later) - extract(year from earlier)) * 12
            + extract(month from later) - extract(month from earlier)
        when 'week' then (date_trunc('week', later)::date - date_trunc('week', earlier)::date) / 7
        when 'day' then later::date - earlier::date
        when 'hour' then extract(epoch from date_trunc('hour', later) - date_trunc('hour', earlier)) / 3600
        when 'minute' then extract(epoch from date_trunc('minute', later) - date_trunc('minute', earlier)) / 60
        when 'second' then extract(epoch from date_trunc('second', later) - date_trunc('second', earlier))
        when 'millisecond' then floor(extract(epoch from later - earlier) * 1e3)
        when 'microsecond' then floor(extract(epoch from later - earlier) * 1e6)
    end::bigint
$$;

-- An index over the leading columns of a sort key, unless the table has one: only those that always fit into
-- an index, since a key of Redshift may be longer than that. A new table is believed to have 200 keys, whatever
-- its size, and its index would be left alone; until somebody analyzes it, a single column is believed unique.
create or replace function pg_catalog.index_sort_key(relation regclass, columns text[]) returns void
language plpgsql as $$
declare
    indexed text[] := '{}';
    name text;
begin
    if exists (select from pg_catalog.pg_index as present where present.indrelid = relation) then
        return;
    end if;
    foreach name in array columns[:8] loop
        exit when not exists (
            select from pg_catalog.pg_attribute as a
            where
                a.attrelid = relation and a.attname = name
                and (
                    a.attlen > 0 or a.atttypid = 'numeric'::regtype
                    or (a.atttypid in ('varchar'::regtype, 'bpchar'::regtype) and a.atttypmod between 4 and 260)
                )
        );
        indexed := indexed || quote_ident(name);
    end loop;
    if indexed <> '{}' then
        execute format('create index on %s (%s)', relation, array_to_string(indexed, ', '));
    end if;
    if cardinality(indexed) = 1 then
        perform pg_catalog.pg_restore_attribute_stats(
            'schemaname', n.nspname::text, 'relname', c.relname::text, 'attname', columns[1],
            'inherited', false, 'null_frac', 0::real, 'avg_width', 8, 'n_distinct', '-1'::real
        )
        from pg_catalog.pg_class as c
        join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
        where c.oid = relation;
    end if;
end
$$;

create or replace view pg_catalog.pg_table_def as
select
    namespace.nspname as schemaname,
    relation.relname as tablename,
    attribute.attname as "column",
    format_type(attribute.atttypid, attribute.atttypmod) as "type",
    'none'::varchar as "encoding",
    false as distkey,
    0 as sortkey,
    attribute.attnotnull as "notnull"
from pg_catalog.pg_attribute as attribute
join pg_catalog.pg_class as relation on relation.oid = attribute.attrelid
join pg_catalog.pg_namespace as namespace on namespace.oid = relation.relnamespace
where
    relation.relkind in ('r', 'v') and attribute.attnum > 0 and not attribute.attisdropped
    and left(namespace.nspname, 3) <> 'pg_' and namespace.nspname <> 'information_schema';

create or replace view pg_catalog.svv_all_tables as
select
    current_database() as database_name,
    table_schema::varchar as schema_name,
    table_name::varchar as table_name,
    case table_type when 'BASE TABLE' then 'TABLE' else table_type end::varchar as table_type,
    null::varchar as table_acl,
    null::varchar as remarks
from information_schema.tables;

create or replace view pg_catalog.svv_all_columns as
select
    current_database() as database_name,
    table_schema::varchar as schema_name,
    table_name::varchar as table_name,
    column_name::varchar as column_name,
    ordinal_position::integer as ordinal_position,
    column_default::varchar as column_default,
    is_nullable::varchar as is_nullable,
    coalesce(domain_name, data_type)::varchar as data_type,
    character_maximum_length::integer as character_maximum_length,
    numeric_precision::integer as numeric_precision,
    numeric_scale::integer as numeric_scale,
    null::varchar as remarks
from information_schema.columns;

create or replace view pg_catalog.svv_tables as
select
    database_name as table_catalog,
    schema_name as table_schema,
    table_name,
    table_type,
    remarks
from pg_catalog.svv_all_tables;

create or replace view pg_catalog.svv_columns as
select
    database_name as table_catalog,
    schema_name as table_schema,
    table_name,
    column_name,
    ordinal_position,
    column_default,
    is_nullable,
    data_type,
    character_maximum_length,
    numeric_precision,
    numeric_scale,
    remarks
from pg_catalog.svv_all_columns;

grant select on pg_catalog.pg_table_def, pg_catalog.svv_all_tables, pg_catalog.svv_all_columns,
pg_catalog.svv_tables, pg_catalog.svv_columns to public;
