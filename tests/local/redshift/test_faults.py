"""Faults come when told to, and leave behind exactly what the real ones would."""

import time

import psycopg
import pytest

from local.redshift import Fault
from tests.local.redshift.stand_in import Running


@pytest.fixture(autouse=True)
def table(stand_in: Running) -> None:
    with stand_in.connect() as client:
        client.execute("create table t (a int)")


def count(stand_in: Running) -> int:
    return int(stand_in.look("select count(*) from public.t")[0][0])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("serialization", "1023"),
        ("snapshot_conflict", "could not complete because of conflict with concurrent transaction"),
    ],
)
def test_conflict_fails_the_statement_and_its_transaction(stand_in: Running, kind: str, message: str) -> None:
    stand_in.control.arm(Fault(kind, match="^insert"))  # type: ignore[arg-type]
    with stand_in.connect() as client:
        with pytest.raises(psycopg.errors.InternalError_) as caught:
            client.execute("insert into t values (1)")
        assert (caught.value.diag.message_primary, caught.value.sqlstate) == (message, "XX000")
        client.rollback()
        client.execute("insert into t values (2)")
    assert (stand_in.look("select a from public.t"), stand_in.control.clear()) == ([(2,)], 1)


def test_conflict_within_a_message_lets_what_came_before_run_and_fail_with_it(stand_in: Running) -> None:
    stand_in.control.arm(Fault("serialization", match="^commit"))
    with stand_in.connect(autocommit=True) as client:
        with pytest.raises(psycopg.errors.InternalError_):
            client.execute("begin; insert into t values (1); commit")
        client.execute("rollback")
    assert count(stand_in) == 0


@pytest.mark.parametrize("sql", ["begin; insert into t values (1); commit", "insert into t values (1)"])
@pytest.mark.parametrize(("kind", "rows"), [("drop_before", 0), ("drop_after", 1)])
def test_connection_dropped_around_a_message(stand_in: Running, sql: str, kind: str, rows: int) -> None:
    stand_in.control.arm(Fault(kind, match="^commit" if "commit" in sql else "^insert"))  # type: ignore[arg-type]
    client = stand_in.connect(autocommit=True)
    with pytest.raises(psycopg.OperationalError):
        client.execute(sql)
    assert client.broken
    assert count(stand_in) == rows


@pytest.mark.parametrize(("kind", "rows"), [("drop_before", 0), ("drop_after", 1)])
def test_connection_dropped_around_a_commit_of_its_own(stand_in: Running, kind: str, rows: int) -> None:
    client = stand_in.connect()
    client.execute("insert into t values (%s)", [1])
    stand_in.control.arm(Fault(kind, match="^commit"))  # type: ignore[arg-type]
    with pytest.raises(psycopg.OperationalError):
        client.commit()
    assert count(stand_in) == rows


@pytest.mark.parametrize(("kind", "rows"), [("drop_before", 0), ("drop_after", 1)])
def test_connection_dropped_around_a_bound_statement(stand_in: Running, kind: str, rows: int) -> None:
    stand_in.control.arm(Fault(kind, match="^insert"))  # type: ignore[arg-type]
    client = stand_in.connect(autocommit=True)
    with pytest.raises(psycopg.OperationalError):
        client.execute("insert into t values (%s)", [1])
    assert count(stand_in) == rows


def test_message_without_a_transaction_is_undone_when_its_connection_drops_within(stand_in: Running) -> None:
    stand_in.control.arm(Fault("drop_before", match="values .3"))
    client = stand_in.connect(autocommit=True)
    with pytest.raises(psycopg.OperationalError):
        client.execute("insert into t values (1); insert into t values (2); insert into t values (3)")
    assert count(stand_in) == 0


def test_delay_waits_before_the_statement(stand_in: Running, client: psycopg.Connection) -> None:
    stand_in.control.arm(Fault("delay", seconds=1))
    started = time.monotonic()
    client.execute("select 1")
    assert time.monotonic() - started >= 1
    started = time.monotonic()
    client.execute("select 1")
    assert time.monotonic() - started < 1


def test_connections_are_refused_as_often_as_told(stand_in: Running) -> None:
    stand_in.control.arm(Fault("refuse_connection", count=2))
    for _ in range(2):
        with pytest.raises(psycopg.OperationalError):
            stand_in.connect()
    stand_in.connect().close()


def failures(stand_in: Running, statements: int) -> list[bool]:
    outcomes = []
    with stand_in.connect(autocommit=True) as client:
        for number in range(statements):
            try:
                client.execute(f"insert into t values ({number})".encode())
                outcomes.append(False)
            except psycopg.Error:
                outcomes.append(True)
    return outcomes


def test_skip_and_count_choose_which_matches_fail(stand_in: Running) -> None:
    stand_in.control.arm(Fault("serialization", match="insert", skip=2, count=2))
    assert failures(stand_in, 6) == [False, False, True, True, False, False]


def test_probability_repeats_with_its_seed(stand_in: Running) -> None:
    seen = []
    for seed in (1, 1, 2):
        stand_in.control.arm(Fault("serialization", match="insert", count=None, probability=0.5, seed=seed))
        seen.append(failures(stand_in, 40))
        stand_in.control.clear()
    assert seen[0] == seen[1] != seen[2]
    assert 5 < sum(seen[0]) < 35


def test_statement_prepared_earlier_fails_when_it_runs(stand_in: Running, client: psycopg.Connection) -> None:
    client.execute("select %s::int", [1], prepare=True)
    stand_in.control.arm(Fault("snapshot_conflict", match="^select"))
    with pytest.raises(psycopg.errors.InternalError_):
        client.execute("select %s::int", [2], prepare=True)
    assert client.execute("select %s::int", [3], prepare=True).fetchone() == (3,)


@pytest.mark.parametrize("fault", [Fault("delay", match="("), Fault("delay", seconds=-1.0)])
def test_fault_that_cannot_be_is_refused(stand_in: Running, fault: Fault) -> None:
    with pytest.raises(ValueError, match=r"position|>= 0"):
        stand_in.control.arm(fault)


def test_counters_count_round_trips_of_both_protocols(stand_in: Running) -> None:
    with stand_in.connect(autocommit=True) as client:
        before = stand_in.control.counters()
        client.execute("select 1; select 2")
        client.execute("select %s", [1])
        after = stand_in.control.counters()
    assert after.round_trips - before.round_trips == 2
    assert after.statements - before.statements == 3


def test_value_stays_refused_while_the_fault_is_armed(stand_in: Running) -> None:
    stand_in.control.arm(Fault("refuse_value", match="^insert.*13", count=None))
    with stand_in.connect(autocommit=True) as client:
        for _ in range(2):
            with pytest.raises(psycopg.errors.InvalidTextRepresentation, match="Invalid value in an insert"):
                client.execute("insert into t values (12), (13)")
        client.execute("insert into t values (12)")
    assert count(stand_in) == 1
