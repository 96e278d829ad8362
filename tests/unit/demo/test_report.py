import io
from collections import Counter
from datetime import UTC, datetime

import msgspec
import pytest
from rich.console import Console

from demo import report
from demo.outcome import Outcome, arrived, weighted_percentile
from demo.replay import Step
from demo.root_store import RootStore
from ops.comparison.difference import Compared, Difference
from ops.status.ledger import BatchLine


def batch(events: int, latency_ms: float | None) -> BatchLine:
    return BatchLine(1, "applied", events, 1, datetime(2026, 1, 1, tzinfo=UTC), latency_ms)


OUTCOME = Outcome(
    committed=Counter(
        {
            ("accounts.public.account", "INSERT"): 1138,
            ("certificates.public.certificate", "DELETE"): 2,
            ("certificates.public.expiry_watch", "TRUNCATE"): 34,
        }
    ),
    rolled_back=Counter({("accounts.public.account", "DELETE"): 417}),
    batches={
        "accounts": [batch(500, 7250.0), batch(638, 250.0)],
        "certificates": [batch(1, 9000.0), batch(1, 2000.0), batch(34, 1500.0)],
    },
    cold={"accounts": 1, "certificates": 1},
    compared=[
        Compared("replica", "account", 68, []),
        Compared("warehouse", "account", 68, []),
        Compared("archive", "other", 0, []),
    ],
    seconds=12.34,
)
MISSING = [Difference((str(number), None), "missing") for number in range(1, 9)]
DIFFERENT = msgspec.structs.replace(OUTCOME, compared=[Compared("replica", "account", 68, MISSING)])


def printed(outcome: Outcome, width: int = 60) -> str:
    console = Console(file=io.StringIO(), width=width)
    report.print_outcome(console, outcome)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_equal_outcome_ends_with_zero_differences() -> None:
    assert OUTCOME.problems() == []
    assert printed(OUTCOME).rstrip().endswith("136 rows in replica, warehouse, archive: 0 differences")


def test_tables_show_what_was_committed_and_what_arrived_and_nothing_else_as_a_dot() -> None:
    lines = [line.split() for line in printed(OUTCOME, width=100).splitlines()]
    assert ["accounts.public.account", "1,138", "·", "·", "·"] in lines
    assert ["certificates.public.expiry_watch", "·", "·", "·", "34"] in lines
    assert ["arrived", "replica", "warehouse", "archive"] in lines
    assert ["account", "68", "68", "·"] in lines
    assert ["other", "·", "·", "0"] in lines
    assert "rolled back 417 changes in transactions and savepoints, none arrived" in map(" ".join, lines)
    assert "commit to applied p50 0.25 s, p99 1.50 s" in map(" ".join, lines)
    assert "cold start 9.00 s for the first release, while the Lambdas started" in map(" ".join, lines)


def test_differences_are_counted_and_the_first_ones_named_with_their_keys() -> None:
    text = printed(DIFFERENT)
    assert "68 rows in replica: 8 differences" in text
    assert "replica: account (1, null) is missing" in text
    assert "(6, null)" not in text
    assert "and 3 more" in text


def test_difference_names_its_columns() -> None:
    different = Compared("replica", "account", 68, [Difference(("7",), "different", ("slug", "country"))])
    outcome = msgspec.structs.replace(OUTCOME, compared=[different])
    assert outcome.problems() == ["replica: account (7) is different in slug, country"]
    assert "replica: account (7) is different in slug, country" in printed(outcome)


def test_arrived_leaves_out_missing_rows_and_counts_surplus_ones() -> None:
    surplus = [Difference(("90",), "unexpected"), Difference(("91",), "different", ("slug",))]
    assert arrived(Compared("replica", "account", 68, [*MISSING, *surplus])) == 68 - 8 + 1


def test_event_that_was_applied_and_never_committed_is_a_difference() -> None:
    outcome = msgspec.structs.replace(OUTCOME, batches={**OUTCOME.batches, "accounts": [batch(1139, 1.0)]})
    assert outcome.problems() == ["accounts: 1,139 events were applied, 1,138 were committed"]
    assert "none arrived" not in printed(outcome)


def test_source_of_which_nothing_was_applied_is_a_difference() -> None:
    outcome = msgspec.structs.replace(OUTCOME, batches={})
    assert len(outcome.problems()) == 2
    assert "commit to applied" not in printed(outcome)
    assert "cold start" not in printed(outcome)


@pytest.mark.parametrize(("share", "value"), [(0.5, 1.0), (0.9, 1.0), (0.91, 2.0), (0.99, 2.0), (1.0, 3.0)])
def test_percentile_counts_events_and_not_batches(share: float, value: float) -> None:
    assert weighted_percentile([(3.0, 1), (1.0, 90), (2.0, 9)], share) == value


def test_there_is_no_percentile_of_nothing() -> None:
    assert weighted_percentile([], 0.5) is None


def steps(total: int) -> list[Step]:
    day = datetime(2020, 1, 1, tzinfo=UTC)
    return [Step(number, total, f"2020.{number}", day, 7) for number in range(1, total + 1)]


def test_progress_without_a_terminal_is_a_few_plain_lines_that_end_with_the_last() -> None:
    console = Console(file=io.StringIO(), force_terminal=False)
    report.follow(console, steps(12))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "  replayed  5 of 12: 2020.5 of 2020-01-01",
        "  replayed 10 of 12: 2020.10 of 2020-01-01",
        "  replayed 12 of 12: 2020.12 of 2020-01-01",
    ]


def test_progress_on_a_terminal_takes_every_step_and_leaves_no_bar_behind() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    taken: list[int] = []
    report.follow(console, (taken.append(step.number) or step for step in steps(12)))
    assert isinstance(console.file, io.StringIO)
    assert taken == list(range(1, 13))
    assert "12/12" in console.file.getvalue()
    assert console.file.getvalue().endswith("\x1b[2K")


def test_headline_names_the_years(store: RootStore) -> None:
    console = Console(file=io.StringIO())
    report.headline(console, store)
    assert isinstance(console.file, io.StringIO)
    assert "The history of the Mozilla root store, 2011 to 2026" in console.file.getvalue()
