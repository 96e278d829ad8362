"""Values that only the server refuses: found, named, and everything else applied."""

import math
import random
import time

import pytest

from local.redshift import Fault
from pgevents.batch import Change, Column, TableChanges
from pgevents.errors import TerminalError
from pgevents.refusals import RefusedChanges
from redshift_writer import staging
from redshift_writer.probes import MOST_REFUSALS
from tests.integration.redshift_writer.changes import account, delete, insert, truncate
from tests.integration.redshift_writer.conftest import Apply, Target

LIVING = "select count(*), min(id), max(id) from {s}.account"
TOKENS = "select count(*) from {s}.pgevents_applied_batch"


@pytest.fixture
def poison(target: Target) -> None:
    """The server refuses every insert with POISON in it, wherever in the transaction or outside it."""
    target.warehouse.control.arm(Fault("refuse_value", match="^insert.*poison", count=None))


def refused(caught: pytest.ExceptionInfo[RefusedChanges]) -> list[int]:
    return sorted(refusal.version for refusal in caught.value.refusals)


def statements(target: Target) -> int:
    return target.warehouse.control.counters().statements


@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize("bad", [0, 1, 4_321, 9_999])
def test_one_row_among_ten_thousand_is_found_in_few_statements_and_the_rest_applied(
    target: Target, apply: Apply, bad: int
) -> None:
    changes = [insert(n + 10, n, "POISON" if n == bad else f"name {n}") for n in range(10_000)]
    clean = [change for change in changes if change.version != bad + 10]
    apply(account(insert(1, -1)))  # the tables are there
    before = statements(target)
    with pytest.raises(RefusedChanges) as caught:
        apply(account(*changes), batch_id=7)
    with_poison = statements(target) - before
    assert refused(caught) == [bad + 10]
    assert f"account (id={bad}): Redshift refuses it: Invalid value in an insert" in str(caught.value)
    assert target.look(TOKENS) == [(1,)]

    before = statements(target)
    assert apply(account(*clean), batch_id=7).counts.inserted == 9_999
    without = statements(target) - before
    print(f"row {bad}: {with_poison} statements with it, {without} without")
    assert with_poison - without <= 2 * math.log2(10_000)
    assert target.read("select count(*) from {s}.account where id >= 0") == [(9_999,)]
    assert target.look(TOKENS) == [(2,)]


@pytest.mark.usefixtures("poison")
def test_row_is_found_in_any_of_several_inserts(
    target: Target, apply: Apply, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "STATEMENT_BYTES", 2_000)
    monkeypatch.setattr("redshift_writer.probes.STATEMENT_BYTES", 2_000)
    apply(account(insert(1, -1)))
    for bad in (0, 55, 299):
        with pytest.raises(RefusedChanges) as caught:
            apply(account(*(insert(n + 10, n, "poison" if n == bad else "x" * 40) for n in range(300))))
        assert refused(caught) == [bad + 10]


@pytest.mark.usefixtures("poison")
def test_several_rows_are_named_at_once(target: Target, apply: Apply) -> None:
    chance = random.Random(1)
    bad = sorted(chance.sample(range(2_000), 30))
    with pytest.raises(RefusedChanges) as caught:
        apply(account(*(insert(n + 1, n, "poison" if n in bad else "fine") for n in range(2_000))))
    assert refused(caught) == [n + 1 for n in bad]
    rest = [insert(n + 1, n, "fine") for n in range(2_000) if n not in bad]
    assert apply(account(*rest)).counts.inserted == 1_970


@pytest.mark.usefixtures("poison")
def test_rows_that_are_all_refused_are_named_so_many_at_a_time(target: Target, apply: Apply) -> None:
    changes = [insert(n + 1, n, "poison") for n in range(250)]
    rounds = 0
    while changes:
        rounds += 1
        with pytest.raises(RefusedChanges) as caught:
            apply(account(*changes), batch_id=3)
        named = set(refused(caught))
        assert len(named) == min(MOST_REFUSALS, len(changes))
        changes = [change for change in changes if change.version not in named]
    assert rounds == 3
    assert apply(account(), batch_id=3).first


@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize("mode", ["mirror", "history", "both"])
def test_row_is_found_in_every_mode_beside_deletions_and_truncations(
    target: Target, apply: Apply, mode: str
) -> None:
    changes = [insert(1, 1, "a"), truncate(2), delete(3, 2), insert(4, 3, "poison"), insert(5, 4, "b")]
    with pytest.raises(RefusedChanges) as caught:
        apply(account(*changes, mode=mode), batch_id=1)  # type: ignore[arg-type]
    assert refused(caught) == [4]
    assert apply(account(*(c for c in changes if c.version != 4), mode=mode), batch_id=1).first  # type: ignore[arg-type]


@pytest.mark.usefixtures("poison")
def test_one_row_alone_is_found(target: Target, apply: Apply) -> None:
    with pytest.raises(RefusedChanges) as caught:
        apply(account(insert(1, 1, "poison")))
    assert refused(caught) == [1]


@pytest.mark.usefixtures("poison")
def test_newest_change_of_a_row_is_named_and_the_one_before_takes_its_place(
    target: Target, apply: Apply
) -> None:
    with pytest.raises(RefusedChanges) as caught:
        apply(account(insert(1, 1, "good"), insert(2, 1, "poison"), insert(3, 2, "x")), batch_id=1)
    assert refused(caught) == [2]
    apply(account(insert(1, 1, "good"), insert(3, 2, "x")), batch_id=1)
    assert target.read("select id, name from {s}.account order by id") == [(1, "good"), (2, "x")]


def test_what_only_the_target_refuses_is_found_on_a_table_like_it(target: Target, apply: Apply) -> None:
    apply(account(insert(1, -1, "there"), mode="both"))
    for table in ("account__versions", "account_history"):
        target.look("select 1")
        with target.warehouse.connect(autocommit=True):
            pass
        _behind(target, f"alter table {{s}}.{table} add constraint c check (name <> 'poison')")
        changes = [insert(n + 10, n, "poison" if n == 77 else "fine") for n in range(500)] + [delete(900, -1)]
        with pytest.raises(RefusedChanges, match=r"account \(id=77\)") as caught:
            apply(account(*changes, mode="both"), batch_id=2)
        assert refused(caught) == [87]
        _behind(target, f"alter table {{s}}.{table} drop constraint c")
    assert apply(account(*(c for c in changes if c.version != 87), mode="both"), batch_id=2).first


def _behind(target: Target, statement: str) -> None:
    """Behind the stand-in's back, where there are constraints that are enforced."""
    import psycopg

    with psycopg.connect(target.warehouse.upstream, autocommit=True) as connection:
        connection.execute(statement.replace("{s}", f'"{target.schema}"').encode())


def test_refusal_at_the_commit_is_an_error_that_names_no_change(target: Target, apply: Apply) -> None:
    apply(account(insert(1, 1, "a")))
    target.warehouse.control.arm(Fault("refuse_value", match="^commit", count=None))
    before = statements(target)
    with pytest.raises(
        TerminalError, match=r"refuses batch 9 of accounts for account, in 'commit': .*No single change"
    ):
        apply(account(insert(2, 2, "b"), insert(3, 3, "c")), batch_id=9)
    assert statements(target) - before < 40
    target.warehouse.control.clear()
    assert apply(account(insert(2, 2, "b")), batch_id=9).first


def test_column_of_the_users_that_must_not_be_null_makes_no_dead_letters(
    target: Target, apply: Apply
) -> None:
    apply(account())
    apply(account(insert(1, 1, "a")))
    target.execute("delete from {s}.account__versions")
    _behind(target, "alter table {s}.account__versions add column theirs int not null")
    for changes in ([insert(2, 2, "b")], [insert(n, n, "b") for n in range(3, 200)]):
        before = statements(target)
        with pytest.raises(TerminalError, match="in 'insert into .*account__versions\"': .*theirs") as caught:
            apply(account(*changes), batch_id=9)
        assert not isinstance(caught.value, RefusedChanges)
        assert statements(target) - before < 80
    _behind(target, "alter table {s}.account__versions drop column theirs")
    assert apply(account(insert(2, 2, "b")), batch_id=9).first


def test_error_of_a_deletion_names_no_change(target: Target, apply: Apply) -> None:
    apply(account(insert(1, 1, "a")))
    target.warehouse.control.arm(Fault("refuse_value", match="^delete", count=None))
    with pytest.raises(TerminalError, match="in 'delete from ") as caught:
        apply(account(insert(2, 1, "b")))
    assert not isinstance(caught.value, RefusedChanges)


def test_refusal_that_does_not_come_back_is_only_another_attempt(target: Target, apply: Apply) -> None:
    apply(account(insert(1, 1, "a")))
    target.warehouse.control.arm(Fault("refuse_value", match="^insert", count=1))
    applied = apply(account(*(insert(n, n, "b") for n in range(2, 50))))
    assert (applied.first, applied.attempts) == (True, 2)


@pytest.mark.parametrize("kind", ["serialization", "snapshot_conflict", "drop_before", "drop_after"])
@pytest.mark.parametrize("skip", [0, 3, 9])
def test_faults_while_it_is_searched_for_are_survived(
    target: Target, apply: Apply, kind: str, skip: int
) -> None:
    apply(account(insert(1, -1, "a")))
    target.warehouse.control.arm(Fault("refuse_value", match="^insert.*poison", count=None))
    target.warehouse.control.arm(Fault(kind, match="^insert into .pgevents_stage", skip=skip + 1))  # type: ignore[arg-type]
    with pytest.raises(RefusedChanges) as caught:
        apply(
            account(*(insert(n + 10, n, "poison" if n == 300 else "fine") for n in range(1_000))), batch_id=5
        )
    assert refused(caught) == [310]
    assert apply(account(insert(10, 1, "fine")), batch_id=5).first


@pytest.mark.usefixtures("poison")
def test_nobody_waits_for_the_search(target: Target, apply: Apply) -> None:
    apply(account(insert(1, -1, "a")))
    target.warehouse.control.arm(Fault("delay", match="^insert into .pgevents_stage", count=20, seconds=0.05))
    import threading

    failed: list[BaseException] = []

    def search() -> None:
        try:
            target.writer().apply(
                target.batch(account(*(insert(n + 10, n, "poison" if n == 3 else "x") for n in range(500))))
            )
        except RefusedChanges as error:
            failed.append(error)

    searching = threading.Thread(target=search)
    searching.start()
    time.sleep(0.3)
    other = TableChanges(
        "other", "mirror", ("warehouse",), ("id",), (Column("id", "bigint"),), [Change("INSERT", 1, ("1",))]
    )
    started = time.monotonic()
    assert apply(other).first
    waited = time.monotonic() - started
    assert searching.is_alive()
    searching.join()
    assert len(failed) == 1
    assert waited < 0.4
