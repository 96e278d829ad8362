"""Which batch it is, in a real target database; and what the sink keeps of it, how long."""

import threading
from typing import Any

import msgspec
import psycopg
import pytest

from pgevents.batch import Batch
from pgevents.identity import SourceReplaced
from tests.integration.transform.sinks.batches import batch, delete, insert, table, truncate
from tests.integration.transform.sinks.conftest import Connect
from transform.sinks.postgres import Applied, PostgresSink
from transform.sinks.postgres_purge import purge

Target = psycopg.Connection[Any]


def opened(one: Batch, moment: str) -> Batch:
    return msgspec.structs.replace(one, opened_at=moment)


LATER = "2026-11-22T15:04:05.000001Z"


def test_other_batch_under_a_known_number_is_noticed_and_changes_nothing(
    sink: PostgresSink, target: Target
) -> None:
    first = batch(table([insert(1, "1", "lost")]), batch_id=7)
    sink.apply(first)
    with pytest.raises(SourceReplaced) as caught:
        sink.apply(opened(batch(table([insert(2, "1", "restored")]), batch_id=7), LATER))
    assert (caught.value.sink, caught.value.batch_id) == ("replica", 7)
    assert caught.value.found == first.identity()
    assert target.execute("select name from replica.account").fetchall() == [("lost",)]
    assert sink.apply(first).already
    assert not sink.apply(batch(table([insert(3, "1", "x")]), batch_id=8)).already


@pytest.mark.parametrize("text", ["2026-11-22T16:04:05+01:00", "2026-11-22 15:04:05.000000+00:00"])
def test_same_moment_written_otherwise_is_the_same_batch(sink: PostgresSink, text: str) -> None:
    one = batch(table([insert(1, "1", "x")]))
    sink.apply(one)
    assert sink.apply(opened(one, text)) == Applied(already=True, rows=0)


def test_other_batch_that_waits_for_the_first_to_commit_is_noticed_then(
    sink: PostgresSink, connect: Connect, target: Target
) -> None:
    sink.apply(batch(table([insert(1, "9", "x")]), batch_id=1))
    caught: list[BaseException] = []

    def bring() -> None:
        try:
            other = opened(batch(table([insert(2, "1", "restored")]), batch_id=2), LATER)
            PostgresSink(connect(), "replica").apply(other)
        except BaseException as error:
            caught.append(error)

    with target.transaction():
        target.execute(
            "insert into replica.pgevents_applied_batch (source, epoch, batch_id, opened_at, changes)"
            " values ('accounts', 0, 2, '2026-11-22T15:04:05Z', 1)"
        )
        bringing = threading.Thread(target=bring)
        bringing.start()
        bringing.join(0.3)
        assert bringing.is_alive()
    bringing.join()
    assert [type(error) for error in caught] == [SourceReplaced]


def test_newest_is_of_the_source_and_of_the_latest_epoch(sink: PostgresSink) -> None:
    assert sink.newest("accounts") is None
    for source, epoch, number in [("accounts", 1, 9), ("accounts", 2, 7), ("certificates", 5, 99)]:
        sink.apply(batch(table([]), source=source, epoch=epoch, batch_id=number))
    newest = sink.newest("accounts")
    assert newest == batch(epoch=2, batch_id=7).identity()
    assert sink.newest("nobody") is None


def old_tokens(target: Target, numbers: range) -> None:
    target.execute(
        "update replica.pgevents_applied_batch set applied_at = now() - interval '8 days'"
        " where batch_id = any(%s)",
        [list(numbers)],
    )


def tokens(target: Target) -> list[tuple[Any, ...]]:
    return target.execute(
        "select source, batch_id from replica.pgevents_applied_batch order by 1, 2"
    ).fetchall()


def test_old_tokens_go_and_the_newest_of_each_source_stays(sink: PostgresSink, target: Target) -> None:
    for number in range(1, 6):
        sink.apply(batch(table([]), batch_id=number))
    sink.apply(batch(table([]), batch_id=1, source="certificates"))
    old_tokens(target, range(1, 4))
    assert purge(target, "replica", "accounts", ["account"], 0, lambda: False).tokens == 3
    old_tokens(target, range(4, 6))
    assert purge(target, "replica", "accounts", ["account"], 0, lambda: False, most=1).tokens == 1
    assert tokens(target) == [("accounts", 5), ("certificates", 1)]


def test_batch_whose_token_is_gone_changes_nothing_when_it_comes_again(
    sink: PostgresSink, target: Target
) -> None:
    one = batch(table([insert(1, "1", "a"), delete(2, "1", None), insert(3, "2", "b")], mode="both"))
    sink.apply(one)
    sink.apply(batch(table([insert(4, "2", "newer")], mode="both"), batch_id=2))
    old_tokens(target, range(1, 2))
    assert purge(target, "replica", "accounts", ["account"], 0, lambda: False).tokens == 1
    assert sink.apply(one) == Applied(already=False, rows=0)
    assert target.execute("select id, name from replica.account").fetchall() == [(2, "newer")]


def test_only_tombstones_that_are_old_and_below_the_version_go(sink: PostgresSink, target: Target) -> None:
    sink.apply(batch(table([delete(version, str(version), None) for version in range(1, 6)])))
    assert purge(target, "replica", "accounts", ["account"], 9, lambda: False).tombstones == 0
    target.execute(
        "update replica.account_tombstone set _deleted_at = now() - interval '31 days' where id <> 2"
    )
    assert purge(target, "replica", "accounts", ["account", "none"], 4, lambda: False).tombstones == 2
    left = target.execute("select id from replica.account_tombstone order by 1").fetchall()
    assert left == [(2,), (4,), (5,)]


def test_purge_goes_part_by_part_and_ends_when_it_is_told_to(sink: PostgresSink, target: Target) -> None:
    sink.apply(batch(table([delete(version, str(version), None) for version in range(1, 101)])))
    target.execute("update replica.account_tombstone set _deleted_at = now() - interval '31 days'")
    asked = iter(range(100))
    purged = purge(target, "replica", "accounts", ["account"], 1000, lambda: next(asked) >= 4, most=10)
    assert purged.tombstones == 30
    assert purge(target, "replica", "accounts", ["account"], 1000, lambda: False, most=10).tombstones == 70


def test_tombstone_that_is_written_anew_while_it_is_purged_stays(
    sink: PostgresSink, connect: Connect, target: Target
) -> None:
    sink.apply(batch(table([delete(1, "1", None)])))
    target.execute("update replica.account_tombstone set _deleted_at = now() - interval '31 days'")
    purging = threading.Thread(
        target=lambda: purge(connect(), "replica", "accounts", ["account"], 1000, lambda: False)
    )
    with target.transaction():
        target.execute("update replica.account_tombstone set _version = 2000, _deleted_at = now()")
        purging.start()
        purging.join(0.3)
        assert purging.is_alive()
    purging.join()
    assert target.execute("select _version from replica.account_tombstone").fetchall() == [(2000,)]


def test_truncation_outlives_the_purge(sink: PostgresSink, target: Target) -> None:
    sink.apply(batch(table([insert(1, "1", "a"), truncate(5)])))
    purge(target, "replica", "accounts", ["account"], 1000, lambda: False)
    sink.apply(batch(table([insert(4, "2", "late")]), batch_id=2))
    assert target.execute("select * from replica.account").fetchall() == []


def test_purge_of_a_schema_that_is_not_there_does_nothing(target: Target) -> None:
    purged = purge(target, "replica", "accounts", ["account"], 1000, lambda: False)
    assert (purged.tokens, purged.tombstones) == (0, 0)
