"""The target is what the versions say, whatever the order and the repetition of batches."""

import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.redshift import Fault
from pgevents.batch import Batch, Change, Column, TableChanges
from pgevents.config import Drain
from tests.integration.redshift_writer.changes import account, delete, insert, truncate
from tests.integration.redshift_writer.conftest import Apply, Target

LIVING = "select id, name from {s}.account order by id"
HISTORY = "select id, name, _clause, _version from {s}.account_history order by _version, id nulls first"


def test_view_shows_living_rows_with_the_users_columns_only(target: Target, apply: Apply) -> None:
    applied = apply(account(insert(1, 1, "a"), insert(2, 2, "b"), delete(3, 2)))
    assert target.read("select * from {s}.account") == [(1, "a")]
    assert (applied.counts.inserted, applied.counts.deleted, applied.counts.stale) == (1, 1, 0)


def test_newer_version_replaces_and_older_is_ignored(target: Target, apply: Apply) -> None:
    apply(account(insert(5, 1, "five")))
    assert apply(account(insert(3, 1, "three"))).counts.stale == 1
    assert target.read(LIVING) == [(1, "five")]
    assert apply(account(insert(6, 1, "six"))).counts.inserted == 1
    assert target.read(LIVING) == [(1, "six")]
    assert target.look("select count(*) from {s}.account__versions") == [(1,)]


def test_deleted_row_stays_deleted_when_an_older_insert_comes_late(target: Target, apply: Apply) -> None:
    apply(account(delete(7, 1)))
    apply(account(insert(6, 1, "late")))
    assert target.read(LIVING) == []
    apply(account(insert(8, 1, "again")))
    assert target.read(LIVING) == [(1, "again")]


def test_repeated_batch_is_acknowledged_without_any_effect(target: Target, apply: Apply) -> None:
    first = apply(account(insert(1, 1, "a"), mode="both"), batch_id=4)
    target.execute("delete from {s}.account__versions")
    again = apply(account(insert(1, 1, "a"), mode="both"), batch_id=4)
    assert (first.first, again.first) == (True, False)
    assert again.applied_at <= first.applied_at
    assert target.read(LIVING) == []
    assert target.look("select source, epoch, batch_id, changes from {s}.pgevents_applied_batch") == [
        ("accounts", 1, 4, 1)
    ]


def test_same_batch_number_of_another_source_or_epoch_is_another_batch(target: Target) -> None:
    writer = target.writer()
    for source, epoch in (("accounts", 1), ("certificates", 1), ("accounts", 2)):
        assert writer.apply(Batch(source, 9, epoch, "2026-01-01T00:00:00Z", [account(insert(1, 1))])).first


def test_batch_without_changes_leaves_its_token(target: Target, apply: Apply) -> None:
    assert apply(batch_id=3).first
    assert not apply(batch_id=3).first
    assert target.look("select batch_id from {s}.pgevents_applied_batch") == [(3,)]


def test_truncate_takes_every_older_row_and_keeps_newer_ones(target: Target, apply: Apply) -> None:
    apply(account(insert(1, 1, "a"), insert(2, 2, "b"), insert(9, 3, "newer")))
    applied = apply(account(truncate(5), insert(6, 4, "after")))
    assert target.read(LIVING) == [(3, "newer"), (4, "after")]
    assert applied.counts.truncated == 2


def test_older_rows_do_not_come_back_after_a_truncate(target: Target, apply: Apply) -> None:
    apply(account(truncate(5)))
    applied = apply(account(insert(3, 1, "late"), insert(7, 2, "newer")))
    assert target.read(LIVING) == [(2, "newer")]
    assert (applied.counts.stale, applied.counts.inserted) == (1, 1)
    apply(account(truncate(4)))
    apply(account(insert(4, 3, "late too")))
    assert target.read(LIVING) == [(2, "newer")]
    assert target.look("select target, version from {s}.pgevents_truncation") == [("account", 5)]


def test_history_keeps_every_version_once(target: Target, apply: Apply) -> None:
    apply(account(insert(1, 1, "a"), insert(2, 1, "b"), delete(3, 1), truncate(4), mode="history"))
    assert (
        apply(
            account(insert(2, 1, "b"), delete(3, 1), truncate(4), insert(5, 2, "c"), mode="history")
        ).counts.recorded
        == 1
    )
    assert target.read(HISTORY) == [
        (1, "a", "INSERT", 1),
        (1, "b", "INSERT", 2),
        (1, None, "DELETE", 3),
        (None, None, "DELETE", 4),
        (2, "c", "INSERT", 5),
    ]
    assert target.look("select to_regclass('{s}.account')") == [(None,)]


def test_history_says_when_a_version_was_applied(target: Target, apply: Apply) -> None:
    applied = apply(account(insert(1, 1, "a"), mode="history"))
    ((moment,),) = target.look("select _applied_at::text from {s}.account_history")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+", str(moment))
    assert str(moment).replace(" ", "T") <= applied.applied_at


def test_both_keeps_the_newest_and_the_history(target: Target, apply: Apply) -> None:
    apply(
        account(
            insert(1, 1, "a"), insert(2, 2, "x"), truncate(3), insert(4, 1, "b"), delete(5, 1), mode="both"
        )
    )
    apply(account(insert(2, 9, "late"), insert(6, 3, "c"), mode="both"))
    assert target.read(LIVING) == [(3, "c")]
    assert len(target.read(HISTORY)) == 7


def test_key_of_several_columns(target: Target, apply: Apply) -> None:
    columns = (Column("a", "text"), Column("b", "integer"), Column("v", "text"))

    def change(version: int, *values: str | None, clause: str = "INSERT") -> Change:
        return Change(clause, version, values)  # type: ignore[arg-type]

    def pair(*changes: Change) -> TableChanges:
        return TableChanges("pair", "both", ("warehouse",), ("b", "a"), columns, list(changes))

    apply(pair(change(1, "x", "1", "p"), change(2, "x", "2", "q"), change(3, "y", "1", "r")))
    apply(pair(change(4, "x", "1", "s"), change(5, "y", "1", None, clause="DELETE")))
    assert target.read("select a, b, v from {s}.pair order by a, b") == [("x", 1, "s"), ("x", 2, "q")]
    assert target.look("select count(*) from {s}.pair_history") == [(5,)]


def test_several_targets_of_a_batch_take_effect_together(target: Target, apply: Apply) -> None:
    other = TableChanges(
        "other", "mirror", ("warehouse",), ("id",), (Column("id", "uuid"),), [Change("INSERT", 1, ("u",))]
    )
    apply(account(insert(1, 1, "a")), other)
    assert target.read("select (select count(*) from {s}.account), (select id from {s}.other)") == [(1, "u")]


def test_target_named_twice_in_a_batch_as_after_a_change_of_its_table(target: Target, apply: Apply) -> None:
    wide = TableChanges(
        "account",
        "both",
        ("warehouse",),
        ("id",),
        (Column("id", "bigint"), Column("name", "text"), Column("since", "date")),
        [Change("INSERT", 6, ("1", "b", "2024-01-01")), Change("INSERT", 7, ("3", "c", None))],
    )
    apply(account(insert(1, 1, "a"), truncate(3), insert(4, 2, "x"), mode="both"), wide)
    assert target.read("select id, name, since::varchar from {s}.account order by id") == [
        (1, "b", "2024-01-01"),
        (2, "x", None),
        (3, "c", None),
    ]
    apply(account(insert(2, 9, "older than the truncate"), mode="both"))
    assert len(target.read(LIVING)) == 3


class Model:
    """What a target must hold after all changes, by versions alone."""

    def __init__(self) -> None:
        self.changes: dict[tuple[int, str], Change] = {}

    def take(self, changes: list[Change]) -> None:
        for change in changes:
            self.changes[change.version, change.clause] = change

    def living(self) -> list[tuple[int, str | None]]:
        rows: dict[str | None, Change] = {}
        for change in sorted(self.changes.values(), key=lambda each: each.version):
            if change.values is None:
                rows.clear()
            else:
                rows[change.values[0]] = change
        living = [row.values for row in rows.values() if row.clause == "INSERT" and row.values is not None]
        return sorted((int(str(values[0])), values[1]) for values in living)

    def history(self) -> list[tuple[int | None, str | None, str, int]]:
        found = []
        for change in self.changes.values():
            key, name = change.values or (None, None)
            found.append((None if key is None else int(key), name, change.clause, change.version))
        return sorted(found, key=lambda row: row[3])


@st.composite
def streams(draw: st.DrawFn) -> list[list[Change]]:
    """Changes of five keys in order of version, cut into batches."""
    kinds = draw(st.lists(st.sampled_from("iiiiiiddt"), min_size=1, max_size=30))
    changes = []
    for version, kind in enumerate(kinds, 1):
        key = draw(st.integers(1, 5))
        changes.append(
            {"i": insert(version, key, f"v{version}"), "d": delete(version, key), "t": truncate(version)}[
                kind
            ]
        )
    cuts = sorted(draw(st.sets(st.integers(1, len(changes)), max_size=6)) | {0, len(changes)})
    return [changes[start:end] for start, end in zip(cuts, cuts[1:], strict=False)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=streams(), seed=st.integers(0, 1_000))
def test_any_order_and_any_repetition_end_in_the_same_state(
    target: Target, apply: Apply, batches: list[list[Change]], seed: int
) -> None:
    apply()
    for name in ("account__versions", "account_history", "pgevents_applied_batch", "pgevents_truncation"):
        if target.look(f"select to_regclass('{{s}}.{name}')") != [(None,)]:
            target.execute(f"delete from {{s}}.{name}")
    shuffled = random.Random(seed)
    numbered = list(enumerate(batches, 100))
    deliveries = numbered + shuffled.choices(numbered, k=2)
    # Batches cut elsewhere overlap these: what a restored source sends again.
    deliveries += [
        (200 + number, batch + following)
        for (number, batch), (_, following) in zip(numbered, numbered[1:], strict=False)
    ]
    shuffled.shuffle(deliveries)
    model = Model()
    for number, changes in deliveries:
        apply(account(*changes, mode="both"), batch_id=number)
        model.take(changes)
    assert target.read(LIVING) == model.living()
    assert target.read(HISTORY) == model.history()


@pytest.mark.parametrize("probability", [0.0, 0.01])
def test_writers_at_once_lose_nothing_and_double_nothing(target: Target, probability: float) -> None:
    for seed, kind in enumerate(("serialization", "snapshot_conflict", "drop_before", "drop_after")):
        fault = Fault(kind, count=None, probability=probability, seed=seed)  # type: ignore[arg-type]
        target.warehouse.control.arm(fault)
    changes = [insert(version, version % 7, f"v{version}") for version in range(1, 181)]
    batches = [
        target.batch(account(*changes[start : start + 15], mode="both")) for start in range(0, 180, 15)
    ]
    failures: list[BaseException] = []

    def deliver(seed: int) -> None:
        writer = target.writer()
        try:
            for batch in random.Random(seed).sample(batches, len(batches)):
                writer.apply(batch)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=deliver, args=[seed]) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (target.warehouse.control.clear() > 2) == (probability > 0)
    model = Model()
    model.take(changes)
    assert target.read(LIVING) == model.living()
    assert target.read(HISTORY) == model.history()
    assert target.look("select count(*), count(distinct batch_id) from {s}.pgevents_applied_batch") == [
        (12, 12)
    ]


def test_as_many_writers_as_are_reserved_meet_where_nothing_is_yet(target: Target) -> None:
    changes = [insert(version, version % 7, f"v{version}") for version in range(1, 321)]
    batches = [
        target.batch(account(*changes[start : start + 10], mode="both")) for start in range(0, 320, 10)
    ]
    assert len(batches) == Drain().in_flight * 2
    together = threading.Barrier(len(batches))

    def deliver(batch: Batch) -> bool:
        writer = target.writer()
        together.wait()
        return writer.apply(batch).first

    with ThreadPoolExecutor(len(batches)) as threads:
        assert all(threads.map(deliver, batches))
    model = Model()
    model.take(changes)
    assert target.read(LIVING) == model.living()
    assert target.read(HISTORY) == model.history()


def test_reader_of_the_view_does_not_hold_up_the_writer(target: Target, apply: Apply) -> None:
    apply(account(insert(1, 1, "a")))
    with target.warehouse.connect() as reader:
        reader.execute(f"select * from {target.schema}.account".encode())
        apply(account(insert(2, 1, "b"), delete(3, 2)))
        assert reader.execute(f"select name from {target.schema}.account".encode()).fetchall() == [("a",)]
    assert target.read(LIVING) == [(1, "b")]
