"""The dead-letter store on a real database: what is kept, what waits for it, and that many letters cost little."""

import time
import tracemalloc

import pytest

from db_triggers import migrations
from db_triggers.installer import Wake, install
from pgevents.config import Source, Table
from pgevents.event import Version
from tests.integration.db_triggers.captured import NAME, Captured
from tests.integration.transform.letters import Letter, Shop
from transform.source.captured import Dead, LedgerBatch, OutboxRow, TableRows
from transform.source.outbox import Outbox

SHAPE = (("id",), ("id", "name"), ("integer", "text"))


def dead(seq: int, *keys: str, waits: bool = False) -> Dead:
    each = [{"id": key} for key in keys]
    return Dead(seq, "public.account", "UPDATE", each, b'{"a": 1}', f"ValueError: {seq}", "stack", waits)


def rows_of(*keys: str) -> list[TableRows]:
    rows = [OutboxRow("I", seq, "1", "now", (None, None), (key, "x")) for seq, key in enumerate(keys, 1)]
    return [TableRows("public.account", *SHAPE, rows)]


def opened(shop: Shop) -> LedgerBatch:
    shop.captured.outbox.open_batches(100)
    return shop.captured.outbox.open()[0]


def test_letters_are_kept_once_and_hold_their_keys_from_the_first_on(shop: Shop) -> None:
    shop.run("insert into account values (1)")
    batch, outbox = opened(shop), shop.captured.outbox
    outbox.bury(batch, [dead(5, "1"), dead(9, "1", "2")])
    outbox.bury(batch, [dead(5, "1"), dead(12, "3")])
    assert outbox.dead_keys(batch, rows_of("1", "2", "3", "4")) == {
        ("public.account", ("1",)): Version(1, 5).number,
        ("public.account", ("2",)): Version(1, 9).number,
        ("public.account", ("3",)): Version(1, 12).number,
    }
    assert outbox.buried(batch) == {5, 9, 12}
    assert shop.run("select seq, error, event from pgevents.dead_letter order by seq")[0] == (
        5, "ValueError: 5", {"a": 1},
    )  # fmt: skip


def test_later_events_of_a_dead_row_wait_in_every_later_batch(shop: Shop) -> None:
    shop.poisoned()
    shop.run("insert into account values (1, 'poison'), (2, 'ann')")
    shop.drain()
    shop.poisoned()
    shop.run("update account set name = 'bob'")
    shop.drain()
    shop.run("update account set id = 3 where id = 1")
    shop.run("update account set name = 'cid' where id = 3")
    shop.drain()
    assert [(letter.seq, letter.error) for letter in shop.letters()] == [
        (1, "ValueError: poison is not to be taken"),
        *[(seq, "waits behind an earlier event of the same row") for seq in (3, 5, 6)],
    ]
    assert shop.model() == {2: "bob"}


def test_a_letter_of_an_earlier_epoch_holds_back_events_with_smaller_numbers(shop: Shop) -> None:
    shop.poisoned()
    shop.run("select setval('pgevents.event_seq', 1000)")
    shop.run("insert into account values (1, 'poison')")
    shop.drain()
    shop.run("update pgevents.setting set epoch = 2; select setval('pgevents.event_seq', 10)")
    shop.run("update account set name = 'fine'")
    shop.drain()
    assert shop.waiting()[:2] == [1001, 11]
    shop.poisoned()
    shop.replay(1001)
    shop.drain()
    assert (shop.waiting(), shop.model()) == ([], {1: "fine"})


def test_keys_of_several_columns_with_null_and_odd_texts_are_told_apart(captured: Captured) -> None:
    captured.run("create table seat (a text, b text)")
    captured.install(Table("public.seat", key=("a", "b")))
    outbox, batch = captured.outbox, LedgerBatch(1, 1, 1, captured.run("select now()")[0][0])
    odd = [("x", None), ("x", "null"), ('"', "\\"), ("é\u2028", "😀"), ("", "x" * 5_000)]
    letters = [
        Dead(seq, "public.seat", "INSERT", [{"a": a, "b": b}], b"{}", "no", "")
        for seq, (a, b) in enumerate(odd, 1)
    ]
    outbox.bury(batch, letters)
    rows = [OutboxRow("I", 100, "1", "now", (None, None), key) for key in [*odd, ("x", ""), ("", None)]]
    tables = [TableRows("public.seat", ("a", "b"), ("a", "b"), ("text", "text"), rows)]
    assert outbox.dead_keys(batch, tables) == {
        ("public.seat", key): Version(1, seq).number for seq, key in enumerate(odd, 1)
    }


def test_a_hundred_thousand_letters_cost_a_batch_neither_time_nor_memory(shop: Shop) -> None:
    """A third of them are of one row, which the batch is about; another row's batch is free."""
    shop.run("insert into account values (1, 'a')")
    shop.drain()
    shop.run(
        "insert into pgevents.dead_letter (batch_id, epoch, seq, table_name, event_type, keys, event, error, waits)"
        " select 1, 1, 1000 + g, 'public.account', 'UPDATE',"
        " json_build_array(json_build_object('id', (case when g % 3 = 0 then 7 else g end)::text)), '{}', 'no', g > 3"
        " from generate_series(1, 100000) as g"
    )
    shop.run(
        "select pgevents.hold_keys(1, array(select seq from pgevents.dead_letter)); analyze pgevents.dead_key"
    )
    batch = LedgerBatch(2, 1, 1_000, shop.run("select now()")[0][0])
    tables = rows_of("7", *(str(200_000 + number) for number in range(1_000)))
    tracemalloc.start()
    began = time.monotonic()
    held = shop.captured.outbox.dead_keys(batch, tables)
    seconds = time.monotonic() - began
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held == {("public.account", ("7",)): Version(1, 1003).number}
    assert seconds < 5.0
    assert most < 2_000_000


def test_letters_from_before_the_store_knew_keys_hold_back_and_are_replayed(captured: Captured) -> None:
    """A source that is upgraded with letters in it."""
    released = migrations._released
    migrations._released = lambda: released()[:2]  # type: ignore[assignment]
    functions, migrations.create_functions = migrations.create_functions, lambda connection: None  # type: ignore[assignment]
    with captured.app.transaction():
        migrations.migrate(captured.app)
    migrations._released, migrations.create_functions = released, functions  # type: ignore[assignment]
    captured.run(
        "insert into pgevents.dead_letter (batch_id, epoch, seq, table_name, event_type, keys, event, error) values"
        """ (1, 1, 5, 'public.account', 'INSERT', '[{"id": "1"}]', '{"columns": ["id", "name"], "types":"""
        """ ["integer", "text"], "before": [null, null], "after": ["1", "ann"], "captured_at":"""
        """ "2026-11-22 00:00:00+00"}', 'ValueError: x'),"""
        """ (1, 1, 6, 'public.account', 'UPDATE', '[{"id": "1"}]', '{"columns": ["id", "name"], "types":"""
        """ ["integer", "text"], "before": ["1", "ann"], "after": ["1", "bob"], "captured_at":"""
        """ "2026-11-22 00:00:00+00"}', 'waits behind an earlier event of the same row')"""
    )
    shop = Shop(captured)
    shop.run("select setval('pgevents.event_seq', 6)")
    assert shop.run("select seq, waits, attempts from pgevents.dead_letter") == [(5, False, 1), (6, True, 1)]
    shop.run("insert into account values (1, 'cid')")
    shop.drain()
    assert shop.waiting() == [5, 6, 7]
    shop.replay(5)
    shop.drain()
    assert shop.letters() == [
        Letter(5, "replayed", 1, "ValueError: x"),
        Letter(6, "replayed", 1, "waits behind an earlier event of the same row"),
        Letter(7, "replayed", 0, "waits behind an earlier event of the same row"),
    ]
    assert shop.model() == {1: "cid"}


@pytest.mark.parametrize("doorbell", ["notify"])
def test_a_bell_that_was_muted_by_a_clock_far_ahead_rings(captured: Captured, doorbell: str) -> None:
    captured.run("create table account (id int primary key)")
    install(captured.app, NAME, Source((Table("public.account"),), "notify"), Wake("transform", "eu-west-1"))
    listener = captured.connect()
    listener.execute("listen pgevents_doorbell")
    moment = "extract(epoch from clock_timestamp())::bigint"
    for muted_for, rings in ((3_600, 1), (20, 0)):
        captured.run(f"select setval('pgevents.doorbell_muted_until', {moment} + {muted_for})")
        captured.run("insert into account select coalesce(max(id), 0) + 1 from account")
        assert len(list(listener.notifies(timeout=0.3))) == rings


def test_outbox_of_another_session_sees_the_same_letters(shop: Shop) -> None:
    shop.poisoned()
    shop.run("insert into account values (1, 'poison')")
    shop.drain()
    other = Outbox(NAME, shop.captured.lambda_connection())
    batch = LedgerBatch(9, 1, 1, shop.run("select now()")[0][0])
    assert list(other.dead_keys(batch, rows_of("1"))) == [("public.account", ("1",))]
