"""What a run prints, and the exit code that a script goes by."""

import io
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ops.comparison.check import ComparedPlace
from ops.comparison.difference import Kind
from ops.comparison.records import Finding
from ops.comparison.spool import Spool
from ops.reconcile.report import SHOWN_OF_EACH, exit_code, print_json, print_text
from ops.reconcile.run import ComparedTable, Outcome


def finding(
    state: str, key: int, kind: Kind | None = None, columns: tuple[str, ...] = (), why: str = ""
) -> Finding:
    return Finding("shop.public.item", "replica", "item", kind, (str(key), None), ("id", "part"), columns, None, 7, state, why)  # fmt: skip


@pytest.fixture
def outcome(tmp_path: Path) -> Iterator[Outcome]:
    tables = [ComparedTable("shop.public.item", [ComparedPlace("replica", "item", 1234)])]
    with Spool(tmp_path / "s") as spool:
        yield Outcome(spool, tables, "2026-11-22T15:00:00+00:00", False, 2468, 2.0)


def printed(outcome: Outcome) -> list[str]:
    out = io.StringIO()
    print_text(outcome, out)
    return out.getvalue().splitlines()


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([], 0),
        (["repaired"], 0),
        (["busy"], 0),
        (["difference"], 3),
        (["dead"], 3),
        (["failed"], 3),
        (["waiting"], 1),
        (["waiting", "difference"], 3),
        (["repaired", "difference"], 3),
    ],
)
def test_the_exit_code_says_whether_anything_differs(outcome: Outcome, states: list[str], code: int) -> None:
    outcome.spool.add_findings(finding(state, key) for key, state in enumerate(states))
    assert exit_code(outcome) == code


def test_a_run_without_findings_says_that_all_is_equal(outcome: Outcome) -> None:
    assert printed(outcome) == [
        "shop.public.item",
        "  replica          item        1,234 rows  equal",
        "1,234 rows compared: all equal; 2,468 rows read in 2.0 s (1,234 rows/s)",
    ]


def test_what_no_sink_had_in_time_is_said_and_is_not_equal(outcome: Outcome) -> None:
    outcome = outcome._replace(unapplied={"shop": 80_000})
    assert exit_code(outcome) == 1
    assert printed(outcome)[2:] == [
        "  shop: 80,000 events are not in every sink yet, and what they changed was not compared: "
        "./pgevents status tells why",
        "1,234 rows compared: no difference, as far as it could be seen; 2,468 rows read in 2.0 s (1,234 rows/s)",
    ]
    out = io.StringIO()
    print_json(outcome, out)
    found = msgspec.json.decode(out.getvalue())
    assert (found["equal"], found["unapplied"]) == (False, {"shop": 80_000})


def test_every_kind_of_finding_is_named_with_its_key(outcome: Outcome) -> None:
    outcome.spool.add_findings(
        [
            finding("difference", 1, "different", ("price", "note")),
            finding("difference", 2, "missing"),
            finding("repaired", 3, "unexpected"),
            finding("dead", 4, "missing", why="dead letter 12: too long"),
            finding("busy", 5, why="it changed"),
        ]
    )
    lines = printed(outcome)
    assert lines[1].endswith("2 different, 1 in the dead-letter store, 1 too busy to judge, 1 repaired")
    assert lines[2:7] == [
        "  replica item (id = 1, part = null): differs in price, note",
        "  replica item (id = 2, part = null): is missing",
        "  replica item (id = 3, part = null): is unexpected, repaired",
        "  replica item (id = 4, part = null): is missing, in the dead-letter store (dead letter 12: too long)",
        "  replica item (id = 5, part = null): too busy to judge (it changed)",
    ]


def test_of_very_many_keys_the_text_shows_some_and_the_json_all(outcome: Outcome) -> None:
    outcome.spool.add_findings(finding("difference", key, "missing") for key in range(500))
    lines = printed(outcome)
    assert len(lines) == 2 + SHOWN_OF_EACH + 2
    assert "480 more different" in lines[-2]
    out = io.StringIO()
    print_json(outcome, out)
    found = msgspec.json.decode(out.getvalue())
    assert len(found["findings"]) == found["counts"]["difference"] == 500
    assert found["equal"] is False
    assert found["findings"][0] == {
        "table": "shop.public.item", "sink": "replica", "target": "item", "key": {"id": "0", "part": None},
        "state": "difference", "kind": "missing", "columns": [], "version": 7, "why": None,
    }  # fmt: skip
