"""Which batch it is: told by its number and by when it was opened; and what of that is kept, how long."""

import threading

import msgspec
import psycopg
import pytest

from local.redshift import Fault
from pgevents.batch import Batch
from pgevents.errors import TransientError
from pgevents.identity import SourceReplaced
from redshift_writer.connect import Sessions
from redshift_writer.purge import Purge
from tests.integration.redshift_writer.changes import account, delete, insert, truncate
from tests.integration.redshift_writer.conftest import Apply, Target

OPENED_LATER = "2026-01-01T00:00:00.000001+00:00"
LIVING = "select id, name from {s}.account order by id"


def opened(batch: Batch, moment: str = OPENED_LATER) -> Batch:
    return msgspec.structs.replace(batch, opened_at=moment)


def test_other_batch_under_a_known_number_is_noticed_and_changes_nothing(target: Target) -> None:
    writer = target.writer()
    first = target.batch(account(insert(1, 1, "a")), batch_id=5)
    writer.apply(first)
    with pytest.raises(
        SourceReplaced, match="holds batch 5 of epoch 1, opened at 2026-01-01T00:00:00.000000"
    ):
        writer.apply(opened(target.batch(account(insert(2, 1, "b")), batch_id=5)))
    assert target.read(LIVING) == [(1, "a")]
    assert not writer.apply(first).first
    assert writer.apply(target.batch(account(insert(2, 1, "c")), batch_id=6)).first


@pytest.mark.parametrize("text", ["2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00Z", "2026-01-01 00:00:00"])
def test_same_moment_written_otherwise_is_the_same_batch(target: Target, text: str) -> None:
    writer = target.writer()
    writer.apply(target.batch(account(insert(1, 1, "a")), batch_id=5))
    assert not writer.apply(opened(target.batch(account(insert(1, 1, "a")), batch_id=5), text)).first


def test_moment_is_kept_to_the_microsecond(target: Target) -> None:
    writer = target.writer()
    moment = "2026-11-22T15:04:05.120456+00:00"
    writer.apply(opened(target.batch(account(insert(1, 1)), batch_id=5), moment))
    assert not writer.apply(opened(target.batch(account(insert(1, 1)), batch_id=5), moment)).first
    newest = writer.apply(target.batch(account(insert(2, 1)), batch_id=6)).newest
    assert newest == opened(target.batch(batch_id=5), moment).identity()


def test_newest_is_of_the_same_source_and_of_the_latest_epoch(target: Target) -> None:
    writer = target.writer()
    opened_at = "2026-01-01T00:00:00+00:00"
    for source, epoch, number in [("accounts", 1, 9), ("accounts", 2, 7), ("certificates", 5, 99)]:
        writer.apply(Batch(source, number, epoch, opened_at, []))
    newest = writer.apply(Batch("accounts", 8, 2, opened_at, [])).newest
    assert newest is not None
    assert (newest.epoch, newest.batch_id) == (2, 7)


def tables_from_before(target: Target) -> None:
    """The tokens as they were without the time, with one of batch 5 in them."""
    target.execute("create schema {s}")
    target.execute(
        "create table {s}.pgevents_applied_batch (source varchar(256) not null, epoch bigint not null,"
        " batch_id bigint not null, applied_at timestamp not null, changes bigint not null,"
        " primary key (source, epoch, batch_id))"
    )
    target.execute(
        "create table {s}.pgevents_truncation (target varchar(256) not null, version bigint not null,"
        " primary key (target))"
    )
    target.execute(
        "insert into {s}.pgevents_applied_batch values ('accounts', 1, 5, '2026-01-01 01:00:00', 1)"
    )


def test_tables_from_before_get_the_time_and_their_tokens_hold(target: Target) -> None:
    tables_from_before(target)
    writer = target.writer()
    assert not writer.apply(target.batch(account(insert(1, 1)), batch_id=5)).first
    applied = writer.apply(target.batch(account(insert(1, 1)), batch_id=6))
    assert applied.first
    assert applied.newest is not None
    assert (applied.newest.batch_id, applied.newest.opened_at) == (5, None)
    assert target.look("select batch_id, opened_at is null from {s}.pgevents_applied_batch order by 1") == [
        (5, True),
        (6, False),
    ]


def test_writers_that_upgrade_the_tables_at_once_all_succeed(target: Target) -> None:
    tables_from_before(target)
    failures: list[BaseException] = []
    writers = [target.writer() for _ in range(4)]

    def apply(number: int) -> None:
        try:
            writers[number].apply(target.batch(account(insert(number, number)), batch_id=10 + number))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=apply, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert target.look("select count(*) from {s}.pgevents_applied_batch") == [(5,)]


def purge(target: Target, below: int = 0, most_rows: int = 100_000, *targets: str) -> tuple[int, int]:
    sessions = Sessions(target.warehouse.settings, lambda name: "")
    try:
        purged = Purge(sessions, target.schema, most_rows).run("accounts", below, targets or ("account",))
        return purged.tokens, purged.tombstones
    finally:
        sessions.drop()


def test_old_tokens_go_and_the_newest_of_each_source_stays(target: Target, apply: Apply) -> None:
    for number in range(1, 6):
        apply(batch_id=number)
    target.writer().apply(target.batch(source="certificates", batch_id=1))
    with psycopg.connect(target.warehouse.upstream, autocommit=True) as connection:
        connection.execute(
            f"update \"{target.schema}\".pgevents_applied_batch set applied_at = now() - interval '8 days'"
            " where batch_id <> 4".encode()
        )
    assert purge(target) == (3, 0)
    assert target.look("select source, batch_id from {s}.pgevents_applied_batch order by 1, 2") == [
        ("accounts", 4),
        ("accounts", 5),
        ("certificates", 1),
    ]


def test_tombstones_below_the_version_go_and_nothing_else(target: Target, apply: Apply) -> None:
    apply(account(insert(1, 1, "a"), delete(2, 2), delete(3, 3), delete(8, 4), insert(9, 5), mode="both"))
    assert purge(target, below=8) == (0, 2)
    assert target.look("select id, _deleted from {s}.account__versions order by 1") == [
        (1, False),
        (4, True),
        (5, False),
    ]
    assert target.look("select count(*) from {s}.account_history") == [(5,)]


def test_tombstones_go_in_parts(target: Target, apply: Apply) -> None:
    apply(account(*(delete(n, n) for n in range(1, 251))))
    before = target.warehouse.control.counters().statements
    assert purge(target, 201, 60) == (0, 200)
    assert target.look("select min(_version) from {s}.account__versions") == [(201,)]
    assert target.warehouse.control.counters().statements - before < 40


def test_purge_of_what_is_not_there_does_nothing(target: Target, apply: Apply) -> None:
    assert purge(target, 9) == (0, 0)
    apply(account(delete(1, 1)))
    assert purge(target, 9, 100, "account", "never_made") == (0, 1)


def test_truncation_outlives_the_purge(target: Target, apply: Apply) -> None:
    apply(account(truncate(5), delete(6, 1)))
    purge(target, 100)
    assert apply(account(insert(4, 2, "late"))).counts.stale == 1


def test_purge_that_meets_a_fault_is_a_transient_error_and_can_be_repeated(
    target: Target, apply: Apply
) -> None:
    apply(account(delete(1, 1)))
    for kind in ("serialization", "drop_before", "drop_after"):
        target.warehouse.control.arm(Fault(kind, match="^delete from .{1,30}__versions"))  # type: ignore[arg-type]
        with pytest.raises(TransientError, match="purging"):
            purge(target, 9)
    target.warehouse.control.clear()
    assert purge(target, 9) in ((0, 1), (0, 0))
    assert apply(account(insert(2, 1, "after"))).first
