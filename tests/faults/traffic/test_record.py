"""The generator's record is what the database's own log says, whatever happens to connections and server."""

import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import msgspec
import psycopg
import pytest

from bench.faults.traffic import (
    TABLES,
    Load,
    Record,
    Traffic,
    create_tables,
    judge_history,
    judge_source,
    run,
)
from bench.faults.traffic.judging import Kept
from bench.faults.traffic.prepared import Finisher
from bench.faults.traffic.record import RowChange
from bench.faults.traffic.script import transactions
from bench.faults.traffic.session import Session
from bench.faults.traffic.tables import TrafficTable
from bench.faults.traffic.writer import Writer
from local.postgres import PostgresServer, free_port
from tests.faults.traffic import wal
from tests.faults.traffic.wal import SERVER_SETTINGS


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A durable server that keeps a log to be decoded."""
    data = tmp_path_factory.mktemp("logged") / "data"
    server = PostgresServer(data, free_port(), settings=SERVER_SETTINGS | {"fsync": "off"})
    server.start()
    try:
        yield server
    finally:
        server.stop("immediate")


@pytest.fixture
def dsn(server: PostgresServer, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"log_{zlib.crc32(request.node.name.encode())}"
    server.create_database(name)
    with psycopg.connect(server.dsn(name), autocommit=True) as connection:
        create_tables(connection)
        wal.begin(connection)
    yield server.dsn(name)
    with psycopg.connect(server.dsn(name), autocommit=True) as connection:
        wal.end(connection)
    server.drop_database(name)


def assert_is_what_the_log_says(record: Record, dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        histories, committed = wal.read(connection)
    # The log knows every row of a truncated partition, and so does the record.
    source = msgspec.structs.replace(record.sources["accounts"], resent=frozenset())
    assert source.committed == committed
    found = []
    for table in TABLES:
        if table.settles:
            # The log moves the rows of a statement one by one: one key has two of them for a moment.
            assert versions_in(histories[table.name]) == versions_of(source.changes[table.name])
        else:
            found += judge_history("log", source, table, histories.get(table.name, []))
    assert found == []
    assert judge_source(record) == []


def versions_in(kept: list[Kept]) -> Counter[tuple[object, ...]]:
    return Counter((row.key, row.life, row.n, row.tx) for row in kept if row.clause == "INSERT")


def versions_of(changes: list[RowChange]) -> Counter[tuple[object, ...]]:
    return Counter((each.after, each.life, each.n, each.tx) for each in changes if each.after is not None)


def test_the_record_of_concurrent_writers_is_what_the_log_says(dsn: str) -> None:
    record = run({"accounts": dsn}, seed=3, changes=2_000, writers=6)
    assert record.total() >= 2_000
    assert record.refusals["40P01"] > 0
    assert_is_what_the_log_says(record, dsn)


def test_huge_transactions_are_recorded(dsn: str) -> None:
    record = run({"accounts": dsn}, seed=4, changes=30_000, writers=2, huge_every=3, huge_rows=10_000)
    assert record.total() >= 30_000
    assert_is_what_the_log_says(record, dsn)


def test_cut_connections_leave_no_doubt_what_committed(dsn: str) -> None:
    traffic = Traffic({"accounts": dsn}, 5, Load(changes=1_500, writers=4))
    traffic.start()
    with psycopg.connect(dsn, autocommit=True) as other:
        while traffic.runs():
            other.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name like 'traffic %' and random() < 0.4"
            )
            time.sleep(0.05)
    record = traffic.finish()
    assert record.cut + record.looked_up > 10
    assert_is_what_the_log_says(record, dsn)


def test_crashes_of_the_server_leave_no_doubt_what_committed(server: PostgresServer, dsn: str) -> None:
    traffic = Traffic({"accounts": dsn}, 6, Load(changes=2_000, writers=4))
    traffic.start()
    crashes = 0
    while traffic.runs() and crashes < 3:
        threading.Event().wait(0.6)
        server.restart("immediate")
        crashes += 1
    record = traffic.finish()
    assert crashes >= 2
    assert record.cut + record.looked_up > 0
    assert_is_what_the_log_says(record, dsn)


def test_one_writer_leaves_the_same_rows_whenever_it_writes(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """What is prepared ends at once: how a serializable transaction fares would depend on when it does."""
    contents = []
    for name in ("first_time", "second_time"):
        postgres_server.create_database(name)
        dsn = postgres_server.dsn(name)
        with psycopg.connect(dsn) as connection:
            create_tables(connection)
        with closing(Session(dsn, "writer", 60)) as session, closing(Session(dsn, "finisher", 60)) as other:
            writer, finisher = Writer(session, 9, 0), Finisher(other)
            for each in islice(transactions(9, 0), 150):
                writer.carry_out(each)
                finisher.finish_all()
        with psycopg.connect(dsn) as connection:
            contents.append([rows(connection, table) for table in TABLES if table.name != "stock_movement"])
        postgres_server.drop_database(name)
    assert contents[0] == contents[1]


def rows(connection: psycopg.Connection, table: TrafficTable) -> list[tuple[object, ...]]:
    return connection.execute(
        f"select * from {table.name} order by {', '.join(table.key)}".encode()
    ).fetchall()
