"""The whole pipeline under traffic: what is committed arrives everywhere, row for row, and nothing else
does."""

import os
import signal
from pathlib import Path

import psycopg
import pytest

from local.stack import running
from local.stack.state import holder
from ops.comparison import Difference, compare_sinks
from ops.endpoints import Endpoints, connect
from ops.status import ledger
from ops.status.waiting import wait_until_applied
from pgevents.config import load
from tests.system import traffic

WRITERS = 8
CHANGES = int(os.environ.get("PGEVENTS_SYSTEM_CHANGES", "100000"))
PATIENCE_SECONDS = 600.0


def differences(project: Path, endpoints: Endpoints) -> list[tuple[str, str, Difference]]:
    """Every row that differs between a source and a sink."""
    pipeline = load(project / "pipeline.toml")
    compared = list(compare_sinks(pipeline, endpoints))
    assert {each.sink for each in compared} == set(pipeline.sinks)
    return [(each.sink, each.target, difference) for each in compared for difference in each.differences]


@pytest.mark.timeout(900)
def test_changes_of_concurrent_writers_arrive_everywhere(project: Path, endpoints: Endpoints) -> None:
    committed = traffic.write_concurrently(endpoints.sources["accounts"], WRITERS, CHANGES, seed=1)
    assert committed.changes >= CHANGES
    assert committed.rolled_back > CHANGES // 50

    assert wait_until_applied(endpoints.sources, PATIENCE_SECONDS).everything_applied

    with connect("accounts", endpoints.sources["accounts"]) as connection:
        status = ledger.status("accounts", connection)
    print(f"{committed.changes} changes, {committed.rolled_back} rolled back: {status}")
    assert status.events_applied == committed.changes
    assert differences(project, endpoints) == []


def test_killed_and_started_again_it_loses_nothing(project: Path, state: Path) -> None:
    with running(project, state) as endpoints:
        traffic.write_concurrently(endpoints.sources["accounts"], WRITERS, 4_000, seed=2)
        supervisor = holder(state)
        assert supervisor is not None
        os.kill(supervisor, signal.SIGKILL)
    with running(project, state) as endpoints:
        traffic.write_concurrently(endpoints.sources["accounts"], WRITERS, 1_000, seed=3)
        assert wait_until_applied(endpoints.sources, PATIENCE_SECONDS).everything_applied
        assert differences(project, endpoints) == []


def test_a_comparison_finds_what_differs(project: Path, endpoints: Endpoints) -> None:
    traffic.write_concurrently(endpoints.sources["accounts"], 2, 400, seed=4)
    assert wait_until_applied(endpoints.sources, PATIENCE_SECONDS).everything_applied
    with psycopg.connect(endpoints.postgres) as connection:
        gone = connection.execute(
            "delete from wide where ctid in (select min(ctid) from wide) returning k1, k2"
        ).fetchone()
        changed = connection.execute(
            "update ledger_entry set amount = amount + 1 where ctid in (select min(ctid) from ledger_entry)"
            " returning entry_id"
        ).fetchone()
    assert gone is not None
    assert changed is not None
    assert differences(project, endpoints) == [
        ("replica", "ledger_entry", Difference((str(changed[0]),), "different", ("amount",))),
        ("replica", "wide", Difference((str(gone[0]), gone[1]), "missing")),
    ]


def test_a_value_that_redshift_refuses_stops_its_own_row_only(project: Path, endpoints: Endpoints) -> None:
    with connect("accounts", endpoints.sources["accounts"]) as source:
        source.execute(
            "insert into ledger_entry (entry_id, amount, note)"
            " select g, g, case g when 500 then repeat('x', 70000) else 'fits' end"
            " from generate_series(1, 1000) as g"
        )
        outcome = wait_until_applied(endpoints.sources, PATIENCE_SECONDS)
        letters = source.execute("select seq, keys, error from pgevents.dead_letter").fetchall()

    assert outcome.unapplied == {"accounts": 0}
    assert [(keys, "70000 bytes" in error) for _, keys, error in letters] == [([{"entry_id": "500"}], True)]
    # The replica took the row before Redshift was asked.
    assert {(sink, found.key, found.kind) for sink, _, found in differences(project, endpoints)} == {
        ("archive", ("500",), "missing"),
        ("warehouse", ("500",), "missing"),
    }
