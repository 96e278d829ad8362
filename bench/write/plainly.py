"""How one would write it first: with the driver as it comes, a value or a text for everything."""

from collections.abc import Iterable
from typing import Any

from bench.write.rows import COLUMNS, TARGET, Values
from bench.write.warehouse import Warehouse
from redshift_writer.connect import load_driver
from redshift_writer.types import for_postgres

_NAMES = ", ".join(column.name for column in COLUMNS)
_KINDS = [for_postgres(column.type) for column in COLUMNS]
_TABLE = f"plain_{TARGET}"


class Plainly:
    """A connection of redshift_connector with its own defaults, and a table with a row for each key."""

    def __init__(self, warehouse: Warehouse) -> None:
        to = warehouse.connection
        self._connection: Any = load_driver().connect(
            host=to.host, port=to.port, database=to.database, user=to.user, password="", ssl=False
        )
        self._cursor = self._connection.cursor()
        columns = ", ".join(f"{c.name} {kind.sql}" for c, kind in zip(COLUMNS, _KINDS, strict=True))
        self._cursor.execute(f"create table {_TABLE} ({columns})")
        self._connection.commit()

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def one_statement_a_row(self, rows: Iterable[Values]) -> None:
        """DELETE and INSERT for each row, all in one transaction."""
        for row in rows:
            self._cursor.execute(f"delete from {_TABLE} where account_id = {row[0]}")
            self._cursor.execute(f"insert into {_TABLE} ({_NAMES}) values {_literals(row)}")
        self._connection.commit()

    def executemany(self, rows: Iterable[Values]) -> None:
        """Bound values into a staging table, by the driver's own executemany; then one DELETE, one INSERT."""
        self._cursor.execute(f"create temp table staged (like {_TABLE})")
        places = ", ".join("json_parse(%s)" if kind.family == "document" else "%s" for kind in _KINDS)
        self._cursor.executemany(
            f"insert into staged ({_NAMES}) values ({places})", [_texts(row) for row in rows]
        )
        self._merge()

    def literals(self, rows: Iterable[Values]) -> None:
        """Many rows as the literals of one statement into a staging table; then one DELETE, one INSERT."""
        self._cursor.execute(f"create temp table staged (like {_TABLE})")
        values = ", ".join(map(_literals, rows))
        self._cursor.execute(f"insert into staged ({_NAMES}) values {values}")
        self._merge()

    def _merge(self) -> None:
        self._cursor.execute(
            f"delete from {_TABLE} using staged where {_TABLE}.account_id = staged.account_id"
        )
        self._cursor.execute(f"insert into {_TABLE} select * from staged")
        self._cursor.execute("drop table staged")
        self._connection.commit()


def _texts(row: Values) -> list[str]:
    return [
        _json(text) if kind.family == "document" else text for text, kind in zip(row, _KINDS, strict=True)
    ]


def _literals(row: Values) -> str:
    texts = zip(_texts(row), _KINDS, strict=True)
    return "(" + ", ".join(_literal(text, kind.family) for text, kind in texts) + ")"


def _literal(text: str, family: str) -> str:
    quoted = "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
    return f"json_parse({quoted})" if family == "document" else quoted


def _json(text: str) -> str:
    return text.replace('{"one root"', '["one root"').replace('"another root"}', '"another root"]')
