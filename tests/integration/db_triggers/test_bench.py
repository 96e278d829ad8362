"""`./pgevents bench capture` in a tiny form: its variants differ in what they say they differ in."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bench.capture import measurement, memory, tables, variants
from bench.measure import pgbench
from local.postgres import PostgresServer, free_port


@pytest.fixture(scope="module")
def dsns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("bench")
    server = PostgresServer(folder / "data", free_port(), durable=False)
    server.start()
    try:
        with variants.databases(server) as dsns:
            yield dsns
    finally:
        server.stop()


@pytest.fixture
def bed(dsns: dict[str, str], tmp_path: Path) -> measurement.Bed:
    script = tmp_path / "transactions.sql"
    script.write_text(tables.script())
    extent = measurement.Extent(seconds=1.0, rows=100, statements=1)
    return measurement.Bed(dsns, script, extent, 1, lambda _: None)


def one(dsn: str, query: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_every_transaction_of_the_script_is_one_captured_change(bed: measurement.Bed) -> None:
    dsn = bed.dsns[variants.CAPTURED]
    with psycopg.connect(dsn, autocommit=True) as connection:
        variants.empty_outbox(connection)
    before = one(dsn, "select last_value from pgevents.event_seq")
    done = pgbench.run(dsn, {bed.script: 1}, clients=2, seconds=1.0, variables={"n": 0})
    assert done.transactions > 0
    assert one(dsn, "select count(*) from pgevents.outbox_1_0") == done.transactions
    assert one(dsn, "select count(distinct xid) from pgevents.outbox_1_0") == done.transactions
    assert one(dsn, "select last_value from pgevents.event_seq") >= before + done.transactions
    assert one(dsn, f"select count(*) from {tables.TABLE} where account_id <= {tables.KNOWN}") == tables.KNOWN


def test_statements_of_many_rows_leave_the_table_as_it_was(bed: measurement.Bed) -> None:
    before = one(bed.dsns[variants.NAIVE], f"select count(*) from {tables.TABLE}")
    found = bed.compare_statements(variants.UNTRIGGERED, variants.CAPTURED, variants.NAIVE)
    assert all(rates[0] > 0 for rates in found.rounds.values())
    assert one(bed.dsns[variants.NAIVE], f"select count(*) from {tables.TABLE}") == before
    assert one(bed.dsns[variants.NAIVE], "select count(*) from naive_outbox") == 300


def test_only_what_has_a_doorbell_rings(dsns: dict[str, str]) -> None:
    tries = "select last_value from pgevents.doorbell_rung"
    for name, rung in ((variants.CAPTURED, 0), (variants.NOT_RUNG, 0), (variants.LAMBDA_GONE, 1)):
        with psycopg.connect(dsns[name], autocommit=True) as connection:
            connection.execute("select setval('pgevents.doorbell_muted_until', 0)")
            before = one(dsns[name], tries)
            connection.execute(tables.UPDATE.format(key=7).encode())
            connection.execute(tables.UPDATE.format(key=8).encode())
        assert one(dsns[name], tries) - before == rung, name


def test_captured_writes_less_wal_than_json_does(bed: measurement.Bed) -> None:
    plain, captured, naive = map(bed.wal_bytes, (variants.UNTRIGGERED, variants.CAPTURED, variants.NAIVE))
    assert 0 < plain < captured < naive


@pytest.mark.skipif(not memory.PROCESSES.is_dir(), reason="reads /proc")
def test_memory_of_a_session_is_seen_while_it_is_there(bed: measurement.Bed) -> None:
    early, late, peak = bed.session_memory(variants.CAPTURED)
    assert 0.5 < early <= peak
    assert 0.5 < late <= peak
