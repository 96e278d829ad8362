"""What a Lambda service that fails costs the application's writes, through the whole pipeline: once, and little."""

import time
import urllib.request
from pathlib import Path

import msgspec
import psycopg
import pytest

from local.stack.functions import TRANSFORM
from ops.endpoints import Endpoints, connect
from ops.status.waiting import wait_until_applied

MOST_SECONDS = 1.5
"""Half a second to connect and one to be answered."""
SLACK_SECONDS = 1.5
"""For a machine that has other things to do."""
WRITES = 30


def ask(endpoints: Endpoints, method: str, body: object = None) -> None:
    url = f"{endpoints.lambda_}/_pgevents/functions/{TRANSFORM}/faults"
    encoded = None if body is None else msgspec.json.encode(body)
    with urllib.request.urlopen(urllib.request.Request(url, encoded, method=method), timeout=10):
        pass


def seconds_of_writes(source: psycopg.Connection, first: int) -> list[float]:
    """How long each of some transactions took, in order."""
    took = []
    for number in range(first, first + WRITES):
        started = time.monotonic()
        source.execute("insert into ledger_entry (entry_id, amount) values (%s, 1)", (number,))
        took.append(time.monotonic() - started)
    return took


def counted(source: psycopg.Connection) -> tuple[int, int]:
    row = source.execute(
        "select pg_sequence_last_value('pgevents.doorbell_rung'),"
        " pg_sequence_last_value('pgevents.doorbell_failed')"
    ).fetchone()
    assert row is not None
    return row[0], row[1]


@pytest.mark.timeout(600)
def test_a_doorbell_that_fails_costs_one_write_its_time_out_and_everything_arrives(
    project: Path, endpoints: Endpoints
) -> None:
    """Hangs, is refused, has no function: each costs the first transaction its time-out and no other anything;
    the sweep brings what nobody rang for."""
    with connect("accounts", endpoints.sources["accounts"]) as source:
        for case, kind in enumerate(("hang", "refuse", "missing")):
            assert wait_until_applied(endpoints.sources, 120).everything_applied
            # The drain that took the last ones must have gone to sleep: it would silence the doorbell.
            until = time.monotonic() + 60
            while (
                source.execute("select pgevents.is_draining()").fetchone() == (True,)
                and time.monotonic() < until
            ):
                time.sleep(0.05)
            source.execute("select setval('pgevents.doorbell_muted_until', 0)")
            if kind == "missing":
                source.execute("update pgevents.setting set function_name = 'nobody'")
            else:
                ask(endpoints, "POST", {"kind": kind, "contains": "doorbell", "seconds": 30.0})
            before = counted(source)
            first, *others = seconds_of_writes(source, case * WRITES)
            ask(endpoints, "DELETE")
            rung, failed = counted(source)
            print(f"{kind}: first {first * 1000:.0f} ms, others at most {max(others) * 1000:.0f} ms")
            assert first < MOST_SECONDS + SLACK_SECONDS
            assert sum(other > MOST_SECONDS / 2 for other in others) == 0
            assert (rung - before[0], failed - before[1]) == (1, 1)
        assert wait_until_applied(endpoints.sources, 120).everything_applied
    with psycopg.connect(endpoints.postgres) as replica:
        assert replica.execute("select count(*) from ledger_entry").fetchone() == (3 * WRITES,)
