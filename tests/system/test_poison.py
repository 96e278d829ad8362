"""A value that only Redshift's server refuses, among ten thousand, through the whole pipeline."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest

from local.redshift import Controller, Fault
from local.stack.ports import Ports
from ops.endpoints import Endpoints, connect
from ops.status.waiting import wait_until_applied

ROWS = 10_000
PATIENCE_SECONDS = 300.0
POISON = {1, 4_321, ROWS}


@pytest.fixture
def warehouse(state: Path, endpoints: Endpoints) -> Controller:
    """Brings about the faults of the pipeline's warehouse."""
    ports = msgspec.json.decode((state / "ports.json").read_bytes(), type=Ports)
    return Controller(ports["redshift control"])


@pytest.fixture
def source(endpoints: Endpoints) -> Iterator[psycopg.Connection]:
    with connect("accounts", endpoints.sources["accounts"]) as source:
        yield source


def test_poison_rows_become_dead_letters_and_all_others_are_applied(
    endpoints: Endpoints, source: psycopg.Connection, warehouse: Controller
) -> None:
    source.execute("insert into ledger_entry (entry_id, amount) values (0, 0)")
    assert wait_until_applied(endpoints.sources, PATIENCE_SECONDS).everything_applied
    warehouse.arm(Fault("refuse_value", match="^insert.*poison", count=None))

    before = warehouse.counters().statements
    source.execute(
        "insert into ledger_entry (entry_id, amount, note)"
        " select g, g, case when g = any(%s) then 'poison' else 'fits' end from generate_series(1, %s) as g",
        (sorted(POISON), ROWS),
    )
    outcome = wait_until_applied(endpoints.sources, PATIENCE_SECONDS)
    assert outcome.unapplied == {"accounts": 0}
    print(
        f"{warehouse.counters().statements - before} statements in Redshift for {ROWS} rows, 3 of them refused"
    )

    letters = source.execute("select keys, error from pgevents.dead_letter order by seq").fetchall()
    assert [int(keys[0]["entry_id"]) for keys, _ in letters] == sorted(POISON)
    assert all("Redshift refuses it: Invalid value" in error for _, error in letters)
    with psycopg.connect(endpoints.redshift.dsn) as redshift:
        row = redshift.execute("select count(*) from ledger_entry where entry_id > 0").fetchone()
        assert row == (ROWS - len(POISON),)
        recorded = redshift.execute("select count(*), count(distinct _version) from ledger_entry_history")
        assert recorded.fetchone() == (ROWS - len(POISON) + 1, ROWS - len(POISON) + 1)
    with psycopg.connect(endpoints.postgres) as replica:  # which had it before Redshift was asked
        assert replica.execute("select count(*) from ledger_entry").fetchone() == (ROWS + 1,)


def test_batch_that_is_refused_as_a_whole_says_so_and_is_tried_without_haste(
    endpoints: Endpoints, source: psycopg.Connection, warehouse: Controller
) -> None:
    source.execute("insert into ledger_entry (entry_id, amount) values (0, 0)")
    assert wait_until_applied(endpoints.sources, PATIENCE_SECONDS).everything_applied
    warehouse.arm(Fault("refuse_value", match="^commit", count=None))

    source.execute("insert into ledger_entry (entry_id, amount) values (1, 1), (2, 2)")
    until = time.monotonic() + 60
    while not (
        told := source.execute("select last_error from pgevents.batch where last_error <> ''").fetchall()
    ):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert "No single change is why" in told[0][0]
    before = warehouse.counters().statements
    time.sleep(5)
    assert warehouse.counters().statements - before < 100
    assert source.execute("select count(*) from pgevents.dead_letter").fetchone() == (0,)

    warehouse.clear()  # somebody has put right what was wrong
    source.execute(
        "update pgevents.batch set forwarded_at = now() - interval '1 hour' where state = 'forwarded'"
    )
    assert wait_until_applied(endpoints.sources, PATIENCE_SECONDS).everything_applied
    with psycopg.connect(endpoints.redshift.dsn) as redshift:
        assert redshift.execute("select count(*) from ledger_entry").fetchone() == (3,)
