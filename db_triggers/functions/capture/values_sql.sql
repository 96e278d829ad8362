-- A captured table's columns as expressions that give what the outbox keeps, in the layout's order.
--
-- captured   the table
-- row_name   the name that the rows have in the statement
-- pattern    how each is written: %1$s the expression, %2$s its position, %3$I the column's name
-- computed   whether the rows come from the table itself; in a transition table a virtual generated column is
--            empty, and its expression is written out instead
--
-- A type that is not built in is printed by its output function, through format(): a cast could be one that
-- the type's owner made, and it would run with the rights of the capture function.
--
-- Example: pgevents.values_sql(captured, 'n', '%1$s as a%2$s', false) → n.id as a1, n.name as a2
create or replace function pgevents.values_sql(
    captured pgevents.captured_table, row_name text, pattern text, computed boolean
)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select string_agg(format(pattern, value.of_column, c.position, c.name), ', ' order by c.position)
    from pgevents.outbox_columns(captured.relation, captured.exclude)
        with ordinality as c (name, type, printed, position)
    inner join pg_attribute as a on a.attrelid = captured.relation and c.name = a.attname
    left join pg_attrdef as d on a.attrelid = d.adrelid and a.attnum = d.adnum and a.attgenerated = 'v'
    cross join lateral (
        select
            case
                when d.adbin is not null and not computed
                    then format(
                        '(%s)::%s', pg_get_expr(d.adbin, d.adrelid), format_type(a.atttypid, a.atttypmod)
                    )
                else format('%I.%I', row_name, c.name)
            end
    ) as raw (of_column)
    cross join lateral (
        select
            case
                when not c.printed then raw.of_column
                else
                    format(
                        'case when %1$s is distinct from null then pg_catalog.format(''%%s'', %1$s) end',
                        raw.of_column
                    )
                    || case when c.type = 'text[]' then '::pg_catalog.text[]' else '' end
            end
    ) as value (of_column)
$$;

revoke all on function pgevents.values_sql(pgevents.captured_table, text, text, boolean) from public;
