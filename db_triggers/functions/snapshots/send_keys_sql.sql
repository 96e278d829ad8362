-- The statement that writes the rows of some keys into the outbox.
--
-- A key is read by its columns' own types, but never cast to one: a cast may be the type's owner's, and would
-- run with the rights of this function.
--
-- returns   a statement with three parameters: the keys, how many of them have been sent, and the numbers of
--           the events
create or replace function pgevents.send_keys_sql(captured pgevents.captured_table)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        'insert into pgevents.outbox_%s_%s (op, seq, %s, %s)'
        ' select distinct on (given.position) case when present.here then ''S'' else ''D'' end,'
        ' $3[given.position - $2], %s, %s'
        ' from json_array_elements($1) with ordinality as given (key, position)'
        ' cross join lateral json_to_record(given.key) as k (%s)'
        ' left join %s on true'
        ' where given.position > $2 and given.position <= $2 + cardinality($3) order by given.position',
        l.layout_id, pg_sequence_last_value('pgevents.outbox_half'),
        key_columns.outbox_names, pgevents.column_list(l, 'a%1$s'),
        key_columns.given_values, pgevents.column_list(l, 'present.a%1$s'),
        key_columns.definitions, pgevents.present_sql(captured, 'k')
    )
    from pgevents.layout as l
    cross join lateral (
        select
            string_agg(format('b%s', c.position), ', '),
            string_agg(
                format('case when present.here is null then (given.key ->> %L)::%s end', c.name, c.type), ', '
            ),
            string_agg(format('%I %s', c.name, format_type(a.atttypid, a.atttypmod)), ', ')
        from unnest(l.columns, l.types) with ordinality as c (name, type, position)
        inner join pg_attribute as a on a.attrelid = captured.relation and c.name = a.attname
        where c.name = any (captured.key)
    ) as key_columns (outbox_names, given_values, definitions)
    where l.table_id = captured.table_id and not l.retired
$$;

revoke all on function pgevents.send_keys_sql(pgevents.captured_table) from public;
