"""What is to be reconciled, as an operator names it."""

from datetime import UTC, datetime, timedelta

import pytest

from ops.reconcile.pace import Pace
from ops.reconcile.selection import select, time_of
from pgevents.config import Pipeline, PostgresSink, Route, S3Sink, Source, Table
from pgevents.errors import InputError

NOW = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
PIPELINE = Pipeline(
    sources={
        "shop": Source((Table("public.item"), Table("public.told", publish=True))),
        "bank": Source((Table("public.item"), Table("public.loan"))),
    },
    sinks={"replica": PostgresSink(), "archive": S3Sink()},
    routes=(
        Route("shop.public.item", ("replica", "archive")),
        Route("bank.public.item", ("replica",), target="bank_item"),
        Route("bank.public.loan", ("replica",)),
    ),
)


def names(table: str | None, *sinks: str) -> list[str]:
    chosen = select(PIPELINE, table, list(sinks), None)
    return [f"{source}.{found.table}" for source, found in chosen.tables]


def test_without_a_name_every_routed_table_is_chosen() -> None:
    assert names(None) == ["shop.public.item", "bank.public.item", "bank.public.loan"]
    assert names(None, "archive") == ["shop.public.item"]


def test_a_table_may_be_named_in_short_where_that_is_clear() -> None:
    assert names("loan") == names("public.loan") == names("bank.public.loan") == ["bank.public.loan"]


@pytest.mark.parametrize(
    ("table", "sinks", "message"),
    [
        ("item", [], "'item' is one of shop.public.item, bank.public.item; name it whole"),
        ("bank.public.lona", [], "did you mean 'bank.public.loan'"),
        ("told", [], "'told' is not a routed table"),
        ("loan", ["archive"], "'loan' is not a routed table"),
        (None, ["replicca"], "did you mean 'replica'"),
    ],
)
def test_what_there_is_not_is_refused(table: str | None, sinks: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        select(PIPELINE, table, sinks, None)


def test_a_time_is_absolute_or_ago() -> None:
    assert time_of("90s", NOW) == NOW - timedelta(seconds=90)
    assert time_of("2d", NOW) == NOW - timedelta(days=2)
    assert time_of("2026-11-22T14:00:00+01:00", NOW) == datetime(2026, 11, 22, 13, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "", "-5m", "15", "2026-13-01", "2026-11-22T15:00:01+00:00"])
def test_what_is_no_time_or_still_to_come_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--since"):
        time_of(text, NOW)


def test_a_pace_waits_for_what_was_read_too_early() -> None:
    slept: list[float] = []
    times = iter([0.0, 0.5, 20.0, 20.0])
    pace = Pace(100, slept.append, lambda: next(times))
    pace.spend(100)
    pace.spend(1_000)
    pace.spend(1_000)
    assert slept == [0.5, 1.0]
    assert pace.rows == 2_100
