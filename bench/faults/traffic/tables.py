"""The tables that the traffic writes to, and how a pipeline captures them."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg import sql

_HERE = Path(__file__).parent


class TrafficTable(NamedTuple):
    """A table in schema public and its key.

    `settles`: where statements run within statements, or keys are not unique at every moment, capture may
    look
    rows up once more and write their present state again; versions of a row may come twice then.
    """

    name: str
    key: tuple[str, ...]
    settles: bool = False


TABLES = (
    TrafficTable("journal", ("tx",)),
    TrafficTable("account", ("id",)),
    TrafficTable("seat", ("id",), settles=True),
    TrafficTable("customer", ("id",)),
    TrafficTable("invoice", ("id",)),
    TrafficTable("invoice_line", ("invoice_id", "line")),
    TrafficTable("reminder", ("id",)),
    TrafficTable("visit", ("id", "region")),
    TrafficTable("wide", ("k1", "k2")),
    TrafficTable("stock", ("id",)),
    TrafficTable("stock_movement", ("id",)),
    TrafficTable("stock_total", ("shelf",)),
    TrafficTable("node", ("id",), settles=True),
)

_RECORDED = """
alter table public.{table}
    add column life bigint, add column n integer, add column if not exists tx text;
create function traffic.{record}() returns trigger language plpgsql as $$
begin
    case tg_op
        when 'INSERT' then insert into traffic.change (relation, op, after, life, n)
            values ({name}, 'I', array[{new}], new.life, new.n);
        when 'UPDATE' then insert into traffic.change (relation, op, before, after, life, n)
            values ({name}, 'U', array[{old}], array[{new}], new.life, new.n);
        when 'DELETE' then insert into traffic.change (relation, op, before, life, n)
            values ({name}, 'D', array[{old}], old.life, old.n);
    end case;
    return null;
end $$;
create trigger a_stamp before insert or update on public.{table}
    for each row execute function traffic.stamp();
create trigger z_record after insert or update or delete on public.{table}
    for each row execute function traffic.{record}();
create trigger z_truncate after truncate on public.{table}
    for each statement execute function traffic.record_truncate({name});
alter table public.{table} enable always trigger a_stamp;
alter table public.{table} enable always trigger z_record;
alter table public.{table} enable always trigger z_truncate;
"""


def partition_of(key: tuple[str, ...]) -> str:
    """The partition of public.visit that a key of it lies in."""
    number, region = key
    if region == "south":
        return "visit_south_low" if int(number) < 20 else "visit_south_high"
    return "visit_north" if region == "north" else "visit_other"


def schema() -> str:
    """The tables and the record's triggers as one script, for `local/databases/SOURCE.sql`."""
    parts = [(_HERE / name).read_text() for name in ("record.sql", "tables.sql")]
    return "\n".join([*parts, *map(_recorded, TABLES)])


def create_tables(connection: psycopg.Connection) -> None:
    """Makes the traffic's tables in an empty database."""
    with connection.transaction():
        connection.execute(schema().encode())


def target_name(source: str, table: str) -> str:
    """The target of a traffic table: two sources may have the traffic, and a target has one source only."""
    return f"{source}_{table}"


def pipeline_toml(sources: Iterable[str], doorbell: str = "invoke", batch_events: int = 1_000) -> str:
    """A pipeline that brings every traffic table of these sources to every kind of sink, with its history."""
    names = list(sources)
    lines = [f"[drain]\nbatch_events = {batch_events}"]
    lines += [f'[sinks.{name}]\ntype = "{kind}"' for name, kind in SINKS.items()]
    lines += [f'[sources.{name}]\ndoorbell = "{doorbell}"' for name in names]
    for source in names:
        for table in TABLES:
            lines.append(f'[[sources.{source}.tables]]\ntable = "public.{table.name}"')
            lines.append(
                f'[[routes]]\ntable = "{source}.public.{table.name}"\nmode = "both"\n'
                f'sinks = {list(SINKS)}\ntarget = "{target_name(source, table.name)}"'
            )
    return "\n".join(lines).replace("'", '"') + "\n"


SINKS = {"replica": "postgres", "archive": "s3", "warehouse": "redshift"}


def _recorded(table: TrafficTable) -> str:
    parts = {
        "table": sql.Identifier(table.name),
        "record": sql.Identifier(f"record_{table.name}"),
        "name": sql.Literal(table.name),
        "new": _key(table, "new"),
        "old": _key(table, "old"),
    }
    return sql.SQL(_RECORDED).format(**parts).as_string(None)


def _key(table: TrafficTable, row: str) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(row, column)) for column in table.key)
