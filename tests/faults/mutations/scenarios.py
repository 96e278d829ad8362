"""What a run goes through. Each ends with the same verdict, which finds nothing in the code as it is."""

import time
from collections.abc import Callable
from typing import NamedTuple

import psycopg

from bench.faults.traffic import Finding, Load, Traffic
from ops.comparison import compare_sinks
from tests.faults.mutations.bed import SOURCE, Run
from tests.faults.mutations.lambdas import Weather

Play = Callable[[Run], list[Finding]]


class Scenario(NamedTuple):
    """A play, the weather at its beginning, and whether capture is installed before it."""

    play: Play
    weather: Weather
    installed: bool = True


def traffic(run: Run) -> list[Finding]:
    """Traffic of four writers."""
    record = run.traffic(400)
    run.lambdas.weather.kill_every_seconds = 0.0
    return run.verdict(record)


def late_commit(run: Run) -> list[Finding]:
    """Transactions write before others and commit when those have been applied."""
    with run.hands(3) as (early, prepared, other):
        for number in (1, 2, 3):
            early.begin(f"early {number}")
            early.execute(f"insert into account (id) values ({number})")
            prepared.begin(f"prepared {number}")
            prepared.execute(
                f"insert into account (id) values (1{number})", f"prepare transaction 'late {number}'"
            )
            other.commit(f"other {number}", f"insert into account (id) values (2{number})")
            run.settle()
            early.execute("commit")
            prepared.execute(f"commit prepared 'late {number}'")
    return run.verdict()


def older_number(run: Run) -> list[Finding]:
    """Of two transactions that change a row, the one that began first changes it last."""
    with run.hands(2) as (first, second):
        first.commit("made", "insert into account (id, balance) values (1, 0)")
        first.begin("begins first")
        second.commit("changes first", "update account set balance = 10 where id = 1")
        first.execute("update account set balance = 20 where id = 1", "commit")
    return run.verdict()


def taking_turns(run: Run) -> list[Finding]:
    """Sessions change one row in turn."""
    with run.hands(2) as (one, other):
        one.commit("made", "insert into account (id, balance) values (1, 0)")
        for number in (1, 2, 3):
            one.commit(f"one {number}", "update account set balance = balance + 1 where id = 1")
            other.commit(f"other {number}", "update account set balance = balance * 2 where id = 1")
    return run.verdict()


def rolled_back(run: Run) -> list[Finding]:
    """Transactions that are rolled back whole, to a savepoint, after PREPARE; none of them rings."""
    with run.hands(1) as (hand,):
        hand.commit("before", "insert into account (id) values (1)")
        run.settle()
        run.until(lambda: run.execute("select pgevents.is_draining()") == [(False,)])
        rung = run.execute("select last_value from pgevents.doorbell_rung")
        hand.begin("whole")
        hand.execute(
            "insert into account (id) values (2)", "update account set balance = 1 where id = 1", "rollback"
        )
        if run.execute("select last_value from pgevents.doorbell_rung") != rung:
            run.find("rang", "the doorbell rang for a transaction that was rolled back")
        # What is prepared rings, for nobody knows yet what becomes of it.
        hand.begin("prepared")
        try:
            hand.execute("insert into account (id) values (3)", "prepare transaction 'undone'")
            hand.execute("rollback prepared 'undone'")
        except psycopg.Error as error:
            run.find("capture failed a write", error)
            hand.execute("rollback")
        hand.begin("in part")
        hand.execute("savepoint s", "insert into account (id) values (4)", "rollback to s")
        hand.execute("insert into account (id) values (5)", "commit")
    return run.verdict()


def doorbell_hangs(run: Run) -> list[Finding]:
    """The doorbell hangs, then fails. One write waits for it, once; all are let be."""
    run.execute(
        "create schema aws_lambda; create function aws_lambda.invoke(text, json, text, text) returns text language plpgsql"
        " as $$ begin perform pg_sleep(0.15); raise 'no answer'; end $$;"
        " update pgevents.setting set doorbell = 'invoke'"
    )
    record = run.traffic(120, pause_seconds=0.01)
    ((failed,),) = run.execute("select last_value from pgevents.doorbell_failed")
    if failed > 4:
        # Sessions that ring at the same moment cannot know of each other.
        run.find("slow", f"{failed} writes waited for the doorbell")
    run.lambdas.weather.sweep_seconds = 0.1
    return run.verdict(record)


def rings_once_each_time(run: Run) -> list[Finding]:
    """Nobody sweeps; each of several transactions of one session must wake the drain."""
    run.patience_seconds = 5.0
    with run.hands(1) as (hand,):
        for number in (1, 2, 3):
            hand.commit(f"number {number}", f"insert into account (id) values ({number})")
            if not run.settle():
                run.find("stuck", f"nobody came for transaction {number}")
                return run.findings
    return run.verdict()


def during_the_last_look(run: Run) -> list[Finding]:
    """A transaction finds a drain awake, rings nobody, and commits when that drain has looked; nobody sweeps."""
    with run.hands(2) as (hand, holder):
        hand.commit("warms up", "insert into account (id) values (2)")
        run.settle()
        run.until(lambda: run.execute("select pgevents.is_draining()") == [(False,)])
        holder.execute("select pg_advisory_lock(1885828470, 0)")  # as a drain that is awake
        hand.begin("silenced")
        hand.execute("insert into account (id) values (1)", "set constraints all immediate")
        holder.execute("select pg_advisory_unlock(1885828470, 0)")
        run.lambdas.wake()
        time.sleep(1.0)
        hand.execute("commit")
    run.patience_seconds = 5.0
    return run.verdict()


def dead_pipeline(run: Run) -> list[Finding]:
    """Nothing drains for a while: that costs table space alone, is told, and ends when the pipeline is back."""
    record = run.traffic(400)
    ((told, slots),) = run.execute(
        "select pgevents.unapplied_events(pg_current_snapshot()), (select count(*) from pg_replication_slots)"
    )
    waiting = record.sources[SOURCE].least_events()
    if told < waiting:
        run.find("not told", f"{told} events are told of, at least {waiting} wait")
    if slots:
        run.find("keeps WAL", f"{slots} replication slots")
    run.lambdas.weather.sweep_seconds = 0.1
    found = run.verdict(record)
    if not run.until(lambda: _outbox_bytes(run) < 64 * 1024):
        run.find("keeps space", f"{_outbox_bytes(run)} bytes when everything is applied")
    return found


POISON = """
from pgevents import ChangeEvent, Record, on

@on("shop.public.account", "INSERT", "UPDATE")
def account(event: ChangeEvent) -> Record:
    if event.event_type == "UPDATE" and event.payload["note"] == "poison":
        raise ValueError("it cannot be read")
    return Record(event.payload)
"""


def poison(run: Run) -> list[Finding]:
    """An event that its transform cannot take stops its row, not its table, until the transform is put right."""
    run.write_transform(POISON)
    with run.hands(1) as (hand,):
        hand.commit("good", "insert into account (id, note) values (1, 'good'), (2, 'good')")
        hand.commit("bad", "update account set note = 'poison' where id = 1")
        run.settle()
        hand.commit("after", "update account set note = 'after'", "update account set id = 7 where id = 2",
                    "insert into account (id, note) values (3, 'new')")  # fmt: skip
        run.settle()
    held = dict(run.sink("select id, note from {}.shop_account"))
    if held.get(1) != "good":
        run.find("overtook", f"row 1 is {held.get(1)!r} while an earlier event of it waits")
    if (held.get(3), held.get(7)) != ("new", "after"):
        run.find("stopped its table", f"the sink holds {held}")
    run.write_transform(POISON.replace('"poison"', '"nothing"'))
    letters = run.execute("select dead_letter_id from pgevents.dead_letter where resolved_at is null")
    if len(letters) != 2:
        run.find("letters", f"{len(letters)} letters wait instead of the poison and what follows it")
    run.execute(
        "select pgevents.replay(%s, 100, 'test', 'the transform is put right')", [each for (each,) in letters]
    )
    run.lambdas.wake()
    return run.verdict()


def values_that_do_not_fit(run: Run) -> list[Finding]:
    """A value that a target cannot hold as it is becomes a dead letter; nothing is cut or rounded."""
    with run.hands(1) as (hand,):
        hand.commit("fits", "insert into account (id, balance) values (1, 0), (2, 0)",
                    "insert into wide (k1, k2, c_double) values (5, 'exact', 0.12345678901234567)")  # fmt: skip
        run.settle()
        run.sink("alter table {}.shop_account alter column balance type numeric(10, 2)")
        run.lambdas.drains.end()  # a warm one has seen the table as it was
        hand.commit("too long", "update account set note = repeat('x', 70000) where id = 1")
        hand.commit("too fine", "update account set balance = 1.2345 where id = 2",
                    "insert into wide (k1, k2, c_numeric) values (1, 'fine', 0.1234567890123456789)")  # fmt: skip
        run.settle()
    letters = [key for (keys,) in run.execute("select keys from pgevents.dead_letter") for key in keys]
    expected = [{"id": "1"}, {"id": "2"}, {"k1": "1", "k2": "fine"}]
    if sorted(map(str, letters)) != sorted(map(str, expected)):
        run.find("letters", f"of {letters} instead of {expected}")
    for compared in compare_sinks(run.pipeline, run.endpoints):
        for difference in compared.differences:
            if difference.kind == "different" and {"id": difference.key[0]} not in expected:
                run.find("altered", f"{compared.sink} {compared.target} {difference}")
    return run.findings + _altered(run)


def backfill(run: Run) -> list[Finding]:
    """Tables with rows are captured and sent while they change; one transaction stays open over the beginning."""
    run.traffic(250, seed=3)
    with run.hands(2) as (hand, writer):
        hand.commit(
            "made", "insert into account (id, balance) select g, 0 from generate_series(501, 530) as g"
        )
        run.install()
        writer.begin("open over the beginning")
        writer.execute("update account set balance = 1 where id between 501 and 515")
        for (table,) in run.execute("select name from pgevents.captured_table order by name"):
            run.execute("select pgevents.request_snapshot(%s, 'backfill', null, 'test')", table)
        traffic = Traffic({SOURCE: run.dsn}, 4, Load(changes=150, writers=2))
        traffic.start()
        # It was asked for after account, which waits for the writer; so whatever does not wait has been done.
        run.until(lambda: run.execute(_CUSTOMERS_SENT) == [("finished",)])
        writer.execute("commit")
        traffic.finish()
    if not run.until(lambda: run.execute(_UNFINISHED) == [(0,)]):
        run.find("stuck", run.execute("select table_name, state, error from pgevents.snapshot_request"))
    return run.verdict(histories=False)


def old_snapshot(run: Run) -> list[Finding]:
    """A partition is truncated by a transaction that does not see all of its rows, nor where others are by now."""
    with run.hands(2) as (hand, other):
        hand.commit("made", "insert into visit (id, region) values (1, 'north'), (2, 'north'), (3, 'south')")
        other.begin("truncates", "repeatable read")
        hand.commit("meanwhile", "insert into visit (id, region) values (4, 'north')",
                    "update visit set region = 'south' where id = 1")  # fmt: skip
        run.settle()
        other.execute(
            "insert into traffic.change (relation, op, before, after)"
            " values ('visit', 'P', '{visit_north}', '{repeatable read}')",
            "truncate visit_north", "commit",
        )  # fmt: skip
    return run.verdict()


def sink_away(run: Run) -> list[Finding]:
    """The PostgreSQL sink cannot be reached for a while; what was held for it comes after what is newer."""
    held = "select count(*) from pgevents.batch where state = 'held'"
    with run.hands(1) as (hand,), psycopg.connect(run.bed.server.dsn(), autocommit=True) as server:
        hand.commit("made", "insert into account (id, balance) values (1, 0), (2, 0), (3, 0)")
        run.settle()
        server.execute("alter database replica allow_connections false")
        server.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'replica'")
        for number in (1, 2, 3, 4):
            hand.commit(f"away {number}", "update account set balance = balance + 1 where id < 3", "delete from account"
                        f" where id = 3 and {number} = 1")  # fmt: skip
            run.until(lambda number=number: run.execute(held) == [(number,)])  # type: ignore[misc]
        run.execute("insert into pgevents.paused (what, paused_by, reason) values ('source', 'test', 'test')")
        server.execute("alter database replica allow_connections true")
        hand.commit(
            "back", "update account set balance = 100 where id < 3", "insert into account (id) values (3)"
        )
        run.execute("delete from pgevents.paused")
    return run.verdict()


def late_answer(run: Run) -> list[Finding]:
    """An answer about a batch of an earlier epoch comes for one that the writer has never seen."""
    run.traffic(60)
    run.until(
        lambda: run.execute("select count(*) > 0 from pgevents.batch where state = 'forwarded'") == [(True,)]
    )
    for (batch_id,) in run.execute("select batch_id from pgevents.batch where state = 'forwarded'"):
        answer = {
            "kind": "applied", "source": SOURCE, "batch_id": batch_id, "epoch": 0,
            "opened_at": "2020-01-01T00:00:00+00:00", "applied_at": "2026-01-01T00:00:00+00:00",
        }  # fmt: skip
        run.lambdas.notes.invoke({"requestPayload": {}, "responsePayload": answer})
    run.lambdas.weather.drop = 0.0
    return run.verdict()


def reconcile(run: Run) -> list[Finding]:
    """Somebody has changed rows of the sinks: reconcile names them, and then puts them right."""
    with run.hands(1) as (hand,):
        hand.commit("made", "insert into account (id, balance) select g, g from generate_series(1, 40) as g")
    run.settle()
    run.sink("update {}.shop_account set balance = -1 where id = 3")
    run.sink("delete from {}.shop_account where id = 4")
    run.sink("insert into {}.shop_account (id, balance, _version) values (99, 0, 1)")
    run.warehouse("update {}.shop_account__versions set balance = -1 where id = 5")
    named = {(each["sink"], each["key"]["id"], each["kind"]) for each in run.reconcile()}
    wrong = {
        ("replica", "3", "different"), ("replica", "4", "missing"), ("replica", "99", "unexpected"),
        ("warehouse", "5", "different"),
    }  # fmt: skip
    if named != wrong:
        run.find("not named", f"reconcile names {named}, wrong are {wrong}")
    run.reconcile(repair=True)
    return run.verdict(histories=False)


_CUSTOMERS_SENT = """
select state from pgevents.snapshot_request inner join pgevents.captured_table using (table_id)
where name = 'public.customer'
"""
_UNFINISHED = "select count(*) from pgevents.snapshot_request where state in ('waiting', 'running')"


def _outbox_bytes(run: Run) -> int:
    ((size,),) = run.execute(
        "select coalesce(sum(pg_relation_size(outbox)), 0)::bigint from pgevents.pending_outboxes()"
    )
    return int(size)


def _altered(run: Run) -> list[Finding]:
    """Rows that a sink holds with another value than the source ever had."""
    for (balance,) in run.sink("select balance::text from {}.shop_account where balance not in (0, 1.2345)"):
        run.find("altered", f"the PostgreSQL sink holds a balance of {balance}")
    for (length,) in run.warehouse("select length(note) from {}.shop_account where note is not null"):
        run.find("altered", f"the warehouse holds a note of {length} characters")
    for (number,) in run.warehouse("select c_numeric::text from {}.shop_wide where c_numeric is not null"):
        run.find("altered", f"the warehouse holds {number}")
    return []


_ROUGH = {"drop": 0.25, "twice": 0.3, "late": 0.5, "answers_lost": 0.2}

SCENARIOS: dict[str, Scenario] = {
    "traffic in bad weather": Scenario(traffic, Weather(**_ROUGH)),
    "traffic and killed Lambdas": Scenario(traffic, Weather(kill_every_seconds=0.5)),
    "late commits": Scenario(late_commit, Weather()),
    "the older number comes last": Scenario(older_number, Weather()),
    "sessions take turns": Scenario(taking_turns, Weather()),
    "rolled back": Scenario(rolled_back, Weather(sweep_seconds=0)),
    "the doorbell hangs": Scenario(doorbell_hangs, Weather(sweep_seconds=0, doorbell=False)),
    "each transaction rings": Scenario(rings_once_each_time, Weather(sweep_seconds=0)),
    "silenced by the last look": Scenario(during_the_last_look, Weather(sweep_seconds=0)),
    "a dead pipeline": Scenario(dead_pipeline, Weather(sweep_seconds=0, doorbell=False)),
    "poison": Scenario(poison, Weather()),
    "values that do not fit": Scenario(values_that_do_not_fit, Weather()),
    "backfill beside writers": Scenario(backfill, Weather(), installed=False),
    "an old snapshot": Scenario(old_snapshot, Weather()),
    "a sink is away": Scenario(sink_away, Weather()),
    "changed behind its back": Scenario(reconcile, Weather()),
    "a late answer": Scenario(late_answer, Weather(drop=1.0)),
}
