"""Faults of the warehouse: every batch takes effect once, or fails as what it is."""

import time

import msgspec
import pytest

from local.redshift import Fault
from pgevents.batch import Change, Column, TableChanges
from pgevents.config import Policies
from pgevents.errors import TransientError
from pgevents.refusals import RefusedChanges
from redshift_writer.connect import Sessions
from redshift_writer.writer import MOST_ATTEMPTS, Writer
from tests.integration.redshift_writer.changes import account, insert
from tests.integration.redshift_writer.conftest import Apply, Target

LIVING = "select id, name from {s}.account order by id"
TOKENS = "select count(*) from {s}.pgevents_applied_batch"


@pytest.mark.parametrize("kind", ["serialization", "snapshot_conflict"])
@pytest.mark.parametrize("match", ["^lock", "^insert", "^delete from .{1,30}__versions", "^commit"])
def test_conflict_is_tried_again(target: Target, apply: Apply, kind: str, match: str) -> None:
    apply(account(insert(1, 1, "a")))
    target.warehouse.control.arm(Fault(kind, match=match, count=2))  # type: ignore[arg-type]
    applied = apply(account(insert(2, 1, "b")))
    assert target.warehouse.control.clear() == 2
    assert (applied.attempts, applied.first, len(target.pauses)) == (3, True, 3)
    assert target.read(LIVING) == [(1, "b")]


def test_conflicts_without_end_become_a_transient_error(target: Target, apply: Apply) -> None:
    apply(account(insert(1, 1, "a")))
    target.warehouse.control.arm(Fault("serialization", match="^commit", count=None))
    with pytest.raises(TransientError, match=f"failed {MOST_ATTEMPTS} times in a row: 1023"):
        apply(account(insert(2, 1, "b")), batch_id=7)
    target.warehouse.control.clear()
    assert apply(account(insert(2, 1, "b")), batch_id=7).first
    assert target.read(LIVING) == [(1, "b")]


@pytest.mark.parametrize("match", ["^begin", "^lock", "^create temp", "^insert into .{1,40}stage", "^commit"])
def test_connection_lost_before_the_commit_is_opened_again(target: Target, apply: Apply, match: str) -> None:
    apply(account(insert(1, 1, "a"), mode="both"))
    target.warehouse.control.arm(Fault("drop_before", match=match))
    applied = apply(account(insert(2, 1, "b"), mode="both"))
    assert target.warehouse.control.clear() == 1
    assert (applied.first, applied.attempts, applied.counts.inserted) == (True, 2, 1)
    assert target.read(LIVING) == [(1, "b")]
    assert target.look(TOKENS) == [(2,)]


def test_commit_whose_answer_is_lost_is_not_done_twice(target: Target, apply: Apply) -> None:
    apply(account(insert(1, 1, "a"), mode="both"))
    target.warehouse.control.arm(Fault("drop_after", match="^commit"))
    applied = apply(account(insert(2, 1, "b"), mode="both"))
    assert target.warehouse.control.clear() == 1
    assert (applied.first, applied.attempts) == (False, 2)
    assert target.read(LIVING) == [(1, "b")]
    assert target.look("select count(*) from {s}.account_history") == [(2,)]
    assert target.look(TOKENS) == [(2,)]


@pytest.mark.parametrize("kind", ["serialization", "drop_before", "drop_after"])
@pytest.mark.parametrize(
    "match", ["^create schema", "^create table", "^create view", "^alter", "^select relation"]
)
def test_faults_while_tables_are_made_are_survived(
    target: Target, apply: Apply, kind: str, match: str
) -> None:
    if match == "^alter":
        apply(account(insert(1, 1, "a")))
    target.warehouse.control.arm(Fault(kind, match=match))  # type: ignore[arg-type]
    wide = (Column("id", "bigint"), Column("name", "text"), Column("since", "date"))
    table = TableChanges(
        "account", "mirror", ("warehouse",), ("id",), wide, [Change("INSERT", 2, ("2", "b", "2024-01-01"))]
    )
    apply(table)
    assert target.warehouse.control.clear() == 1
    assert target.read("select id, since::varchar from {s}.account where id = 2") == [(2, "2024-01-01")]


def test_dead_connection_is_noticed_before_it_is_used(target: Target, apply: Apply) -> None:
    apply(account(insert(1, 1, "a")))
    target.look(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'pgevents%'"
    )
    time.sleep(0.5)  # as long as the news may take to this side
    applied = apply(account(insert(2, 2, "b")))
    assert (applied.first, applied.attempts) == (True, 1)


def test_warehouse_that_refuses_connections_for_a_while_is_waited_for(target: Target) -> None:
    target.warehouse.control.arm(Fault("refuse_connection", count=3))
    assert target.writer().apply(target.batch(account(insert(1, 1)))).attempts > 3


def test_warehouse_that_cannot_be_reached_is_a_transient_error(target: Target) -> None:
    target.warehouse.control.arm(Fault("refuse_connection", count=None))
    with pytest.raises(TransientError, match="cannot connect to Redshift at 127.0.0.1"):
        target.writer().apply(target.batch(account(insert(1, 1))))


def test_faults_at_random_change_nothing_of_the_result(target: Target, apply: Apply) -> None:
    kinds = ("serialization", "snapshot_conflict", "drop_before", "drop_after")
    for seed, kind in enumerate(kinds):
        target.warehouse.control.arm(Fault(kind, match="", count=None, probability=0.004, seed=seed))  # type: ignore[arg-type]
    for version in range(1, 41):
        apply(account(insert(version, version % 5, f"v{version}"), mode="both"))
    assert target.warehouse.control.clear() > 5
    assert target.read(LIVING) == [(key % 5, f"v{key}") for key in (40, 36, 37, 38, 39)]
    assert target.look("select count(*), count(distinct _version) from {s}.account_history") == [(40, 40)]
    assert target.look(TOKENS) == [(40,)]


def test_value_that_cannot_go_stops_the_batch_before_anything_is_sent(target: Target, apply: Apply) -> None:
    apply(account(insert(1, 1, "a")))
    before = target.warehouse.control.counters().round_trips
    with pytest.raises(RefusedChanges, match=r"account \(id=2\), column name: 70000 bytes"):
        apply(account(insert(2, 1, "b"), insert(3, 2, "x" * 70_000)))
    assert target.warehouse.control.counters().round_trips == before
    assert target.read(LIVING) == [(1, "a")]


def test_policy_lets_the_batch_pass(target: Target) -> None:
    writer = target.writer(Policies(too_long="truncate"))
    writer.apply(target.batch(account(insert(1, 1, "é" * 40_000))))
    assert target.look("select octet_length(name) from {s}.account") == [(65_534,)]


def test_value_too_long_for_a_column_that_was_changed_meanwhile_is_refused(
    target: Target, apply: Apply
) -> None:
    apply(account(insert(1, 1, "a")))
    with target.warehouse.connect(autocommit=True) as client:
        client.execute(f"drop view {target.schema}.account".encode())
    target.look("select 1")
    target.execute("alter table {s}.account__versions drop column name")
    target.execute("alter table {s}.account__versions add column name varchar(3)")
    with pytest.raises(RefusedChanges, match=r"account \(id=1\): Redshift refuses it: Value too long"):
        apply(account(insert(2, 1, "long")), batch_id=9)
    with pytest.raises(RefusedChanges, match="4 bytes are more than the 3"):
        apply(account(insert(2, 1, "long")), batch_id=9)
    assert apply(account(insert(3, 1, "abc"))).first


def test_permission_that_is_missing_is_a_transient_error(target: Target, apply: Apply) -> None:
    apply(account(insert(1, 1, "a")))
    name = f"stranger_{target.schema}"
    target.execute(f"create user {name}")
    stranger = msgspec.structs.replace(target.warehouse.settings, user=name)
    sessions = Sessions(stranger, lambda name: "")
    try:
        with pytest.raises(TransientError, match="permission denied"):
            Writer(sessions, target.schema, Policies(), target.pauses.append).apply(target.batch())
        target.execute(f"grant usage on schema {{s}} to {name}")
        target.execute(f"grant all on all tables in schema {{s}} to {name}")
        writer = Writer(sessions, target.schema, Policies(), target.pauses.append)
        assert writer.apply(target.batch(account(insert(2, 1, "b")))).first
    finally:
        sessions.drop()
        target.execute(f"revoke all on all tables in schema {{s}} from {name}")
        target.execute(f"revoke all on schema {{s}} from {name}")
        target.execute(f"drop user {name}")
