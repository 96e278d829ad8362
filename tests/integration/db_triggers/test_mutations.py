"""The checks of this folder can fail: each mutation of what keeps events right is seen by one of them.

Every scenario runs twice, with and without the mutation, and is deterministic: its connections take their turns.
"""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from pgevents.config import Table
from tests.integration.db_triggers.captured import NAME, Captured, events_in
from transform.source.outbox import Outbox

Step = Callable[[Captured], None]


def rewritten(function: str, old: str, new: str) -> Step:
    """A mutation that replaces a part of a function of the schema."""

    def mutate(captured: Captured) -> None:
        (source,) = captured.run(f"select pg_get_functiondef('pgevents.{function}'::regprocedure)")[0]
        assert old in source
        captured.app.execute(source.replace(old, new).encode())

    return mutate


def executed(statement: str) -> Step:
    """A mutation by a statement."""
    return lambda captured: captured.run(statement) and None


def update(captured: Captured, row: int = 1) -> str:
    return f"update counter set n = n + 1 where id = {row}"


def late_commit(captured: Captured) -> None:
    """One transaction writes before another one, and commits after it has been drained."""
    with captured.connect() as early, early.transaction():
        early.execute("insert into counter values (7)")
        captured.run("insert into counter values (8)")
        captured.drain(0)
        captured.outbox.open_batches(10)
        captured.drain()


def early_transaction_id(captured: Captured) -> None:
    """A transaction has its id before another one, and changes the row after it."""
    with captured.connect() as early, early.transaction():
        early.execute("select pg_current_xact_id()")
        captured.run("update counter set n = 10 where id = 1")
        early.execute("update counter set n = 20 where id = 1")


def horizon_between_two_writers(captured: Captured) -> None:
    """Of two transactions that change a row one after the other, the later one has the older id; a third one, whose
    id is between them, is still open when the first window is cut."""
    older, between = captured.connect(), captured.connect()
    for connection in (older, between):
        connection.execute("begin")
        connection.execute("select pg_current_xact_id()")
    captured.run("update counter set n = 10 where id = 1")
    older.execute("update counter set n = 20 where id = 1")
    older.execute("commit")
    captured.drain()
    between.execute("commit")
    captured.drain()


def two_sessions_in_turn(captured: Captured) -> None:
    """Two sessions change one row, each twice."""
    other = captured.connect()
    for value in (10, 30):
        captured.run("update counter set n = %s where id = 1", value)
        other.execute("update counter set n = %s where id = 1", (value + 10,))
    captured.run("update counter set n = 50 where id = 1")


def trigger_on_the_same_table(captured: Captured) -> None:
    """A row trigger changes its row once more."""
    captured.run(
        "create function again() returns trigger language plpgsql as $$ begin if new.n < 50 then"
        " update counter set n = n + 100 where id = new.id; end if; return null; end $$;"
        " create trigger again after update on counter for each row execute function again()"
    )
    captured.run(update(captured))


def swapped_keys(captured: Captured) -> None:
    """Two rows change their keys in one statement."""
    captured.run("alter table counter drop constraint counter_pkey, add primary key (id) deferrable")
    captured.run("update counter set id = 3 - id where id < 3")


def many_keys_changed(captured: Captured) -> None:
    """One statement changes the key of every row; the row before must be the same row."""
    captured.run("update counter set id = id + 100, n = id")
    moved = [event for event in captured.events() if event.op == "U"]
    wrong = [event for event in moved if event.before["id"] != event.after["n"]]
    captured.model.inversions += [("pairs", (str(event.before["id"]),)) for event in wrong]
    if len(moved) != 6:
        captured.model.inversions.append(("pairs", (f"{len(moved)} of 6",)))


def rotation_before_a_late_commit(captured: Captured) -> None:
    """Writers change over while a transaction has events in the old half, which it then commits."""
    with captured.connect() as late, late.transaction():
        late.execute("update counter set n = 10 where id = 1")
        captured.reader.execute("select pgevents.rotate_outbox(1)")
    captured.reader.execute("select pgevents.rotate_outbox(1)")


def two_windows_at_once(captured: Captured) -> None:
    """Two drains open batches; the second one begins before the first one has committed."""
    captured.run(update(captured))
    first, second = captured.lambda_connection(), captured.lambda_connection()
    second.execute("set lock_timeout = '300ms'")
    with first.transaction():
        Outbox(NAME, first).open_batches(10)
        try:
            Outbox(NAME, second).open_batches(10)
        except Exception as waited:
            assert "lock timeout" in str(waited)
    seqs = [
        row.seq for batch in captured.ledger() for rows in captured.outbox.read(batch) for row in rows.rows
    ]
    captured.model.inversions += [("twice", (str(seq),)) for seq in seqs if seqs.count(seq) > 1]


def replica_role(captured: Captured) -> None:
    """A session in the role of a replica writes."""
    captured.run(
        "set session_replication_role = replica; insert into counter values (9); reset session_replication_role"
    )


def column_added(captured: Captured) -> None:
    """The owner adds a column and fills it."""
    captured.run("alter table counter add column note text; update counter set note = 'x'")
    captured.model.inversions += [
        ("note", ()) for event in captured.events() if event.op == "U" and "note" not in event.after
    ]


def hot_rows_in_shards(captured: Captured) -> None:
    """A backlog of few rows, split: a row that is in two shards may be taken in any order."""
    for _ in range(10):
        captured.run("update counter set n = n + 1")
    captured.outbox.open_batches(20, most_shards=3)
    shards: dict[str | None, set[int]] = {}
    for shard in range(3):
        for batch in captured.outbox.open(shard):
            for rows in captured.outbox.read(batch):
                for event in events_in(rows):
                    shards.setdefault(event.after["id"], set()).add(shard)
    captured.model.inversions += [("shards", (row,)) for row, found in shards.items() if len(found) > 1]


class Mutation(NamedTuple):
    mutate: Step
    scenario: Step


IN_WINDOW = "in_window_sql(pg_snapshot, pg_snapshot)"
BODY = "capture_body_sql(pgevents.captured_table, pgevents.layout, text)"
UPDATE = "capture_update_sql(pgevents.captured_table, pgevents.layout, integer)"
KEY_IS_UNIQUE = "key_is_unique(pgevents.captured_table)"
REBUILT = "alter table counter add column rebuilt int; alter table counter drop column rebuilt"


def rebuilt(mutate: Step) -> Step:
    """The mutation of a generator, and the capture functions generated anew."""

    def both(captured: Captured) -> None:
        mutate(captured)
        captured.run(REBUILT)

    return both


MUTATIONS = {
    "seq > last": Mutation(
        rewritten(
            "window_sql(pg_snapshot, pg_snapshot, integer)", "pgevents.in_window_sql(window_from, window_to)",
            "'seq > (select coalesce(max(seq_to), 0) from pgevents.batch)'",
        ),
        late_commit,
    ),
    "order by transaction id": Mutation(
        rewritten("batch_queries(bigint, boolean)", "select op, seq, xid", "select op, xid::text::bigint * 100 + seq, xid"),
        early_transaction_id,
    ),
    "everything below pg_snapshot_xmin": Mutation(
        rewritten(
            IN_WINDOW, "'xid >= %L and xid < %L and pg_visible_in_snapshot(xid, %L) and not pg_visible_in_snapshot(xid, %L)'",
            "'xid >= %1$L and xid < pg_snapshot_xmin(%3$L)'",
        ),
        horizon_between_two_writers,
    ),
    "numbers cached by each session": Mutation(executed("alter sequence pgevents.event_seq cache 50"), two_sessions_in_turn),
    "rows paired in another order": Mutation(
        rebuilt(
            rewritten(UPDATE, "row_number() over () as position, %s from old_rows", "row_number() over (order by o.id desc)"
                      " as position, %s from old_rows")
        ),
        many_keys_changed,
    ),
    "nothing settled": Mutation(
        rebuilt(rewritten(BODY, "if found and (%s) then'", "if found and (%s) and false then'")),
        trigger_on_the_same_table,
    ),
    "swaps not settled": Mutation(rewritten(KEY_IS_UNIQUE, "and not condeferrable", ""), swapped_keys),
    "space given back too early": Mutation(
        rewritten("empty_outbox(integer, integer, pg_snapshot)", "if not unapplied then", "if true then"),
        rotation_before_a_late_commit,
    ),
    "windows opened without a lock": Mutation(
        rewritten("open_batches(integer, integer, integer)", "perform pg_advisory_xact_lock(1885828470, 1);", ""), two_windows_at_once
    ),
    "shards by event": Mutation(
        rewritten("shard_sql(pgevents.layout, integer)", "'case when op = ''D'' then b%1$s else a%1$s end'", "'seq'"),
        hot_rows_in_shards,
    ),
    "triggers that replicas do not fire": Mutation(
        executed("drop event trigger pgevents_follow_ddl; alter table counter enable trigger \"!pgevents_insert\""),
        replica_role,
    ),
    "ddl not followed": Mutation(executed("alter event trigger pgevents_follow_ddl disable"), column_added),
}  # fmt: skip


@pytest.mark.parametrize("mutated", [False, True], ids=["as it is", "mutated"])
@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_a_mutation_is_seen_and_nothing_is_seen_without_it(
    captured: Captured, mutation: Mutation, mutated: bool
) -> None:
    captured.run("create table counter (id int primary key, n int not null default 0)")
    captured.install(Table("public.counter"))
    captured.run("insert into counter select generate_series(1, 6)")
    captured.drain()
    if mutated:
        mutation.mutate(captured)
    mutation.scenario(captured)
    assert (captured.differences() != []) == mutated
