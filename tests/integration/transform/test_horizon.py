"""Which tombstones have done their service: those that nothing older than them can meet any more."""

from typing import Any

import pytest

from pgevents.config import Pipeline, PostgresSink, RedshiftSink, Route, S3Sink
from pgevents.errors import TransientError
from tests.integration.db_triggers.captured import Captured
from transform.purge import Horizon, kept_targets, purge_sinks

MONTH = 31


@pytest.fixture
def account(captured: Captured) -> Captured:
    captured.run("create table account (id int primary key, n int not null default 0)")
    captured.install("public.account")
    return captured


def horizon(captured: Captured) -> Horizon:
    return Horizon("shop", captured.reader)


def days_pass(captured: Captured, days: float) -> None:
    captured.run(f"update pgevents.horizon set noted_at = noted_at - interval '{days} days'")


def newest_version(captured: Captured) -> int:
    return int(captured.run(
        "select (s.epoch::bigint << 48) + (select last_value from pgevents.event_seq) from pgevents.setting as s"
    )[0][0])  # fmt: skip


def write(captured: Captured, *, drain: bool = True) -> int:
    """One more change; its version."""
    captured.run("insert into account values (1) on conflict (id) do update set n = account.n + 1")
    if drain:
        captured.drain()
    return newest_version(captured)


def test_it_is_noted_once_a_day_and_nothing_may_go_for_a_month(account: Captured) -> None:
    write(account)
    assert horizon(account).passed() == 0
    assert horizon(account).passed() is None
    days_pass(account, 0.9)
    assert horizon(account).passed() is None
    days_pass(account, 0.2)
    assert horizon(account).passed() == 0


def test_what_every_sink_had_a_month_ago_may_go(account: Captured) -> None:
    version = write(account)
    horizon(account).passed()
    days_pass(account, MONTH)
    assert write(account) > version
    assert horizon(account).passed() == version


def test_open_batch_keeps_what_it_may_meet_from_going(account: Captured) -> None:
    first = write(account)
    account.run("insert into account values (2)")
    account.run("select pgevents.open_batches(10)")
    waiting = newest_version(account)
    assert horizon(account).passed() == 0
    days_pass(account, MONTH)
    assert horizon(account).passed() == waiting == first + 1
    account.drain()
    days_pass(account, 1.1)
    assert horizon(account).passed() == waiting


def test_batch_that_waits_now_counts_although_it_did_not_a_month_ago(account: Captured) -> None:
    version = write(account)
    horizon(account).passed()
    days_pass(account, MONTH)
    account.run("update pgevents.batch set state = 'held', held_for = '{x}', applied_at = null")
    assert horizon(account).passed() == version


def test_dead_letter_that_may_be_replayed_keeps_what_it_may_meet_from_going(account: Captured) -> None:
    version = write(account)
    account.run(
        "insert into pgevents.dead_letter (batch_id, epoch, seq, table_name, event_type, keys, event, error)"
        f" values (1, 1, {(version & (2**48 - 1)) - 0}, 'public.account', 'UPDATE', '[]', '{{}}', 'no')"
    )
    write(account)
    horizon(account).passed()
    days_pass(account, MONTH)
    write(account)
    assert horizon(account).passed() == version
    account.run(
        "update pgevents.dead_letter set resolution = 'discarded', resolved_at = now(), resolved_by = 'me'"
    )
    days_pass(account, 1.1)
    assert horizon(account).passed() == version
    days_pass(account, MONTH)
    later = write(account)
    assert version < horizon(account).passed() <= later  # type: ignore[operator]


def test_clock_that_was_ahead_for_a_while_keeps_no_day_from_being_noted(account: Captured) -> None:
    write(account)
    horizon(account).passed()
    days_pass(account, -100)
    assert horizon(account).passed() == 0
    assert horizon(account).passed() is None


def test_day_noted_under_a_date_long_past_lets_nothing_go_too_early(account: Captured) -> None:
    """The clock was set back by months, for an hour."""
    old = write(account)
    horizon(account).passed()
    days_pass(account, 20)
    account.run(f"insert into pgevents.horizon values (now() - interval '100 days', {old + 10**9})")
    assert horizon(account).passed() == old
    assert old < newest_version(account) + 1


def test_days_long_past_are_forgotten(account: Captured) -> None:
    for _ in range(50):
        write(account)
        horizon(account).passed()
        days_pass(account, 1.01)
    assert 29 <= account.run("select count(*) from pgevents.horizon")[0][0] <= 32


def pipeline() -> Pipeline:
    return Pipeline(
        {},
        {"replica": PostgresSink(), "archive": S3Sink(), "warehouse": RedshiftSink()},
        (
            Route("shop.public.account", ("replica", "archive", "warehouse"), mode="both"),
            Route("shop.public.log", ("replica",), mode="history"),
            Route("shop.public.rest", ("warehouse",)),
            Route("other.public.thing", ("replica",)),
        ),
    )


def test_only_targets_with_a_current_state_of_that_source_are_purged() -> None:
    assert kept_targets(pipeline(), "shop", "replica") == ["account"]
    assert kept_targets(pipeline(), "shop", "warehouse") == ["account", "rest"]


def test_every_sink_is_purged_and_one_that_fails_does_not_keep_the_others(account: Captured) -> None:
    version = write(account)
    horizon(account).passed()
    days_pass(account, MONTH)
    purged: list[tuple[Any, ...]] = []

    def failing(source: str, targets: list[str], below: int) -> object:
        purged.append((source, targets, below))
        raise TransientError("the sink is away")

    def warehouse(source: str, below: int) -> None:
        purged.append((source, below))

    for _ in range(2):  # once a day
        purge_sinks(pipeline(), horizon(account), {"replica": failing}, warehouse)
    assert purged == [("shop", ["account"], version), ("shop", version)]


def test_two_sweeps_at_once_note_the_day_without_an_error(account: Captured) -> None:
    with account.connect() as other, other.transaction():
        other.execute("select pgevents.pass_horizon('30 days')")
        assert horizon(account).passed() == 0
    assert account.run("select count(*) > 0 from pgevents.horizon") == [(True,)]
