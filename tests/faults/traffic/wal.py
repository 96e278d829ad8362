"""The database's own log, decoded: what has committed, told by nobody of ours.

Reads the messages of pgoutput, the plugin that every PostgreSQL server has, in protocol version 1
(https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html).
"""

import struct
from collections import defaultdict
from typing import NamedTuple

import psycopg

from bench.faults.traffic.judging import Kept
from bench.faults.traffic.record import Key
from bench.faults.traffic.tables import TABLES, TrafficTable

PARTITIONS = ("visit_north", "visit_south_low", "visit_south_high", "visit_other")
SERVER_SETTINGS = {"wal_level": "logical"}
Row = dict[str, str | None]


class Relation(NamedTuple):
    """A table as the log has it: a partition under its own name."""

    name: str
    columns: list[str]


def begin(connection: psycopg.Connection) -> None:
    """Makes a slot and a publication of every traffic table, before the traffic."""
    # A key that may be deferred is none that the log would name rows by.
    connection.execute("alter table seat replica identity full")
    connection.execute("create publication traffic for tables in schema public")
    connection.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", (slot(connection),))


def read(connection: psycopg.Connection) -> tuple[dict[str, list[Kept]], set[str]]:
    """The history of each table as a sink would hold it, numbered in the order of the log; and the committed
    transactions."""
    reader = _Reader()
    for (message,) in connection.execute(
        "select data from pg_logical_slot_get_binary_changes(%s, null, null, 'proto_version', '1',"
        " 'publication_names', 'traffic')",
        (slot(connection),),
    ):
        reader.take(message)
    return reader.histories, reader.committed


def end(connection: psycopg.Connection) -> None:
    """Drops the slot, without which the database could not be dropped."""
    connection.execute("select pg_drop_replication_slot(%s)", (slot(connection),))


def slot(connection: psycopg.Connection) -> str:
    """The database's own slot."""
    return f"traffic_{connection.info.dbname}"


class _Reader:
    def __init__(self) -> None:
        self.histories: dict[str, list[Kept]] = defaultdict(list)
        self.committed: set[str] = set()
        self._relations: dict[int, Relation] = {}
        self._living: dict[str, dict[Key, None]] = defaultdict(dict)
        self._version = 0

    def take(self, message: bytes) -> None:
        """One message of the log."""
        self._version += 1
        body = _Bytes(message[1:])
        match chr(message[0]):
            case "R":
                self._relation(body)
            case "I":
                relation = self._relations[body.number("I")]
                body.skip(1)
                self._brought(relation, self._row(relation, body))
            case "U":
                self._updated(body)
            case "D":
                relation = self._relations[body.number("I")]
                body.skip(1)
                self._taken(relation, self._row(relation, body))
            case "T":
                count, _ = body.number("I"), body.number("B")
                self._truncated([self._relations[body.number("I")].name for _ in range(count)])

    def _relation(self, body: "_Bytes") -> None:
        oid = body.number("I")
        body.text()
        name = body.text()
        body.skip(1)
        columns = []
        for _ in range(body.number("H")):
            body.skip(1)
            columns.append(body.text())
            body.skip(8)
        self._relations[oid] = Relation(name, columns)

    def _updated(self, body: "_Bytes") -> None:
        relation = self._relations[body.number("I")]
        # The row before is there only where its key has changed, or the table has none.
        old = self._row(relation, body) if body.take(1) != b"N" else None
        if old is not None:
            body.skip(1)
        new = self._row(relation, body)
        table = _table(relation.name)
        if old is not None and _key(table, old) != _key(table, new):
            self._taken(relation, old)
        self._brought(relation, new)

    def _brought(self, relation: Relation, row: Row) -> None:
        table = _table(relation.name)
        key = _key(table, row)
        self._living[relation.name][key] = None
        kept = Kept(self._version, "INSERT", key, int(str(row["life"])), int(str(row["n"])), str(row["tx"]))
        self.histories[table.name].append(kept)
        if table.name == "journal":
            self.committed.add(str(row["tx"]))

    def _taken(self, relation: Relation, row: Row) -> None:
        table = _table(relation.name)
        key = _key(table, row)
        self._living[relation.name].pop(key, None)
        self.histories[table.name].append(Kept(self._version, "DELETE", key))

    def _truncated(self, names: list[str]) -> None:
        """A partitioned table is not in the log, and one that is truncated comes as all its partitions."""
        whole = set(names) >= set(PARTITIONS)
        for name in {_table(name).name: None for name in names if whole or name not in PARTITIONS}:
            self.histories[name].append(Kept(self._version, "DELETE", None))
        for name in names:
            if not whole and name in PARTITIONS:
                gone = [Kept(self._version, "DELETE", key) for key in self._living[name]]
                self.histories[_table(name).name] += gone
            self._living[name].clear()

    def _row(self, relation: Relation, body: "_Bytes") -> Row:
        row: Row = {}
        for _, name in zip(range(body.number("H")), relation.columns, strict=True):
            match chr(body.number("B")):
                case "n":
                    row[name] = None
                case "u":  # a long value that is as it was; it is none of those that count here
                    row[name] = None
                case _:
                    row[name] = body.take(body.number("I")).decode()
        return row


class _Bytes:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def take(self, size: int) -> bytes:
        self._at += size
        return self._content[self._at - size : self._at]

    def skip(self, size: int) -> None:
        self._at += size

    def number(self, kind: str) -> int:
        (value,) = struct.unpack(f"!{kind}", self.take(struct.calcsize(kind)))
        return int(value)

    def text(self) -> str:
        end = self._content.index(b"\0", self._at)
        taken = self._content[self._at : end].decode()
        self._at = end + 1
        return taken


def _table(relation: str) -> TrafficTable:
    """The traffic table that a relation is, or is a partition of."""
    return next(
        t for t in TABLES if t.name == relation or (t.name == "visit" and relation.startswith("visit_"))
    )


def _key(table: TrafficTable, row: Row) -> Key:
    return tuple(str(row[column]) for column in table.key)
