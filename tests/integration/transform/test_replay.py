"""Replay and discard on a real database, between whatever else happens: at rest, the model is the table."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pgevents.batch import Batch
from pgevents.config import Drain as Limits
from pgevents.errors import TransientError
from tests.integration.db_triggers.captured import NAME, Captured
from tests.integration.transform.failing import Failing, Interruption
from tests.integration.transform.letters import Letter, Shop
from transform.sinks.postgres import PostgresSink
from transform.source.captured import LedgerBatch
from transform.source.outbox import Outbox

BAD = "ValueError: poison is not to be taken"
WAITS = "waits behind an earlier event of the same row"


def dying(shop: Shop, *statements: str) -> None:
    """Runs each in a transaction, while poison kills; drained."""
    shop.poisoned()
    for statement in statements:
        shop.run(statement)
    shop.drain()
    shop.poisoned()


def test_replayed_letters_take_effect_and_are_kept_as_resolved(shop: Shop) -> None:
    dying(shop, "insert into account values (1, 'poison'), (2, 'poison'), (3, 'fine')")
    assert shop.model() == {3: "fine"}
    assert shop.replay(1, 2, by="ann", why="transform mended") == 1
    assert shop.waiting() == [1, 2]
    assert shop.drain().events == 2
    assert shop.model() == shop.table()
    assert shop.states() == [("window", "applied"), ("replay", "applied")]
    assert shop.run(
        "select distinct resolution, resolved_by, resolved_reason, resolved_at > died_at, replay_batch_id"
        " from pgevents.dead_letter"
    ) == [("replayed", "ann", "transform mended", True, 2)]
    assert shop.run("select count(*) from pgevents.dead_key") == [(0,)]


def test_any_letter_of_a_row_brings_all_that_wait_for_it_along_key_changes_too(shop: Shop) -> None:
    dying(
        shop,
        "insert into account values (1, 'poison'), (5, 'poison')",
        "update account set id = 2, name = 'ann' where id = 1",
        "update account set id = 3 where id = 2",
        "insert into account values (2, 'another')",
    )
    assert shop.waiting() == [1, 2, 3, 4, 5]
    shop.replay(5)
    shop.drain()
    assert [(letter.seq, letter.resolution) for letter in shop.letters()] == [
        (1, "replayed"), (2, None), (3, "replayed"), (4, "replayed"), (5, "replayed"),
    ]  # fmt: skip
    assert shop.model() == {2: "another", 3: "ann"}


def test_letters_go_out_as_they_were_in_the_shape_and_with_the_version_they_had(shop: Shop) -> None:
    dying(shop, "insert into account values (1, 'poison')")
    shop.run("alter table account add column extra text default 'x'")
    taken: list[Batch] = []
    shop.writers["model"] = taken.append
    shop.run("select setval('pgevents.event_seq', 500)")
    shop.replay(1)
    shop.drain()
    (table,) = taken[0].tables
    assert [column.name for column in table.columns] == ["id", "name"]
    assert [(change.version & (1 << 48) - 1, change.values) for change in table.changes] == [
        (1, ("1", "poison"))
    ]


def test_events_that_come_after_the_replay_was_asked_for_go_straight_on(shop: Shop) -> None:
    dying(shop, "insert into account values (1, 'poison')")
    shop.replay(1)
    shop.run("update account set name = 'later'")
    shop.drain()
    assert shop.letters() == [Letter(1, "replayed", 1, BAD)]
    assert shop.model() == {1: "later"}


def test_events_that_wait_behind_a_replay_that_has_not_begun_follow_it_by_themselves(shop: Shop) -> None:
    """The drain has looked up what waits, an operator replays that, and the drain buries a follower."""
    dying(shop, "insert into account values (1, 'poison')")
    shop.run("update account set name = 'later'")
    dead_keys = shop.captured.outbox.dead_keys

    def look_up_and_let_replay(batch: LedgerBatch, tables: Any) -> Any:
        found = dead_keys(batch, tables)
        shop.captured.outbox.dead_keys = dead_keys  # type: ignore[method-assign]
        shop.replay(1)
        return found

    shop.captured.outbox.dead_keys = look_up_and_let_replay  # type: ignore[method-assign]
    shop.drain()
    assert shop.letters() == [Letter(1, "replayed", 1, BAD), Letter(2, "replayed", 0, WAITS)]
    assert shop.model() == {1: "later"}


def test_events_go_on_while_a_replay_is_in_flight(shop: Shop) -> None:
    dying(shop, "insert into account values (1, 'poison')")
    shop.route("model", "warehouse")
    shop.replay(1)
    shop.drain()
    shop.run("update account set name = 'later'")
    shop.drain()
    assert shop.waiting() == [1], "not confirmed yet"
    assert len(shop.forwarded) == 2
    shop.confirm()
    assert shop.waiting() == []
    assert shop.run("select count(*) from pgevents.dead_letter") == [(1,)]


class TestFailsAgain:
    def test_what_fails_again_waits_with_its_new_error_and_the_rest_is_put_right(self, shop: Shop) -> None:
        shop.poisoned("worse")
        dying(
            shop,
            "insert into account values (1, 'poison'), (2, 'poison')",
            "update account set name = 'worse' where id = 2",
            "update account set name = 'fine'",
        )
        shop.replay(*shop.waiting())
        assert shop.drain().dead == 2
        assert shop.letters() == [
            Letter(1, "replayed", 1, BAD),
            Letter(2, "replayed", 1, BAD),
            Letter(3, None, 1, "ValueError: worse is not to be taken"),
            Letter(4, "replayed", 0, WAITS),
            Letter(5, None, 0, WAITS),
        ]
        assert shop.model() == {1: "fine", 2: "poison"}
        shop.run("update account set name = 'finer'")
        shop.drain()
        assert shop.waiting() == [3, 5, 7]
        shop.poisoned("worse")
        shop.replay(5)
        shop.drain()
        assert (shop.waiting(), shop.model()) == ([], shop.table())

    def test_replay_that_fails_as_before_counts_its_attempts(self, shop: Shop) -> None:
        dying(shop, "insert into account values (1, 'poison')", "update account set name = 'fine'")
        shop.poisoned()
        for _ in range(3):
            shop.replay(2)
            shop.drain()
        assert shop.letters() == [Letter(1, None, 4, BAD), Letter(2, None, 0, WAITS)]
        assert shop.states()[-1] == ("replay", "applied")

    def test_redshift_refuses_a_replayed_event_again(self, shop: Shop) -> None:
        shop.route("model", "warehouse")
        dying(shop, "insert into account values (1, 'poison'), (2, 'poison')")
        shop.replay(1, 2)
        shop.drain()
        (sent,) = shop.forwarded[-1:]
        shop.captured.outbox.refuse(sent.batch_id, {2: "account (id=2): too long"})
        shop.drain()
        assert shop.letters()[1] == Letter(2, None, 2, "account (id=2): too long")
        assert [change.values for change in shop.forwarded[-1].tables[0].changes] == [("1", "poison")]
        shop.confirm()
        assert [(letter.seq, letter.resolution) for letter in shop.letters()] == [(1, "replayed"), (2, None)]
        shop.run("update account set name = 'later'")
        shop.drain()
        assert shop.waiting() == [2, 4], "the row's later events wait again"

    def test_a_replay_in_which_everything_is_refused_is_over(self, shop: Shop) -> None:
        shop.route("model", "warehouse")
        dying(shop, "insert into account values (1, 'poison')")
        shop.replay(1)
        shop.drain()
        shop.captured.outbox.refuse(shop.forwarded[-1].batch_id, {1: "too long"})
        shop.drain()
        assert shop.letters() == [Letter(1, None, 2, "too long")]
        assert shop.states()[-1] == ("replay", "applied")


class TestRowsThatChangedMeanwhile:
    """With the real sink, which decides by versions: a letter never undoes what came after it."""

    @pytest.fixture
    def target(self, shop: Shop) -> Callable[[], dict[int, str]]:
        connection = shop.captured.connect()
        sink = PostgresSink(connection, "target")
        shop.writers["model"] = sink.apply
        return lambda: dict(connection.execute("select id, name from target.t0").fetchall())

    def test_row_that_was_deleted_since_stays_deleted(
        self, shop: Shop, target: Callable[[], dict[int, str]]
    ) -> None:
        """The DELETE went on its way before Redshift refused what was before it."""
        shop.route("model", "warehouse")
        shop.run("insert into account values (1, 'ann'), (2, 'bob')")
        shop.drain()
        shop.run("delete from account where id = 1")
        shop.drain()
        shop.captured.outbox.refuse(1, {1: "too long"})
        shop.drain()
        assert shop.waiting() == [1]
        shop.replay(1)
        shop.drain()
        shop.confirm()
        assert (shop.waiting(), target()) == ([], {2: "bob"})

    def test_row_that_was_truncated_since_stays_away(
        self, shop: Shop, target: Callable[[], dict[int, str]]
    ) -> None:
        dying(shop, "insert into account values (1, 'poison'), (2, 'fine')")
        shop.run("truncate account; insert into account values (3, 'new')")
        shop.drain()
        assert target() == {3: "new"}
        shop.replay(1)
        shop.drain()
        assert (shop.waiting(), target()) == ([], {3: "new"})

    def test_row_that_was_sent_again_in_a_new_epoch_stays_as_it_was_sent(
        self, shop: Shop, target: Callable[[], dict[int, str]]
    ) -> None:
        dying(shop, "insert into account values (1, 'poison'), (2, 'poison')")
        shop.run("update account set name = 'newer'; delete from account where id = 2")
        shop.drain()
        assert len(shop.waiting()) == 5
        shop.run("select pgevents.begin_epoch('restored', null)")
        shop.drain()
        shop.replay(*shop.waiting())
        shop.drain()
        assert (shop.waiting(), target()) == ([], {1: "newer"})
        assert shop.run("select distinct epoch from pgevents.dead_letter order by 1")[0] == (1,)

    def test_letters_of_two_epochs_are_sent_in_two_batches(
        self, shop: Shop, target: Callable[[], dict[int, str]]
    ) -> None:
        dying(shop, "insert into account values (1, 'poison')")
        shop.run("update pgevents.setting set epoch = 2; select setval('pgevents.event_seq', 100)")
        dying(shop, "insert into account values (2, 'poison')")
        assert shop.replay(1, 101) == 2
        assert shop.run("select epoch, replay_epoch from pgevents.batch where kind = 'replay' order by 2") == [
            (2, 1), (2, 2),
        ]  # fmt: skip
        shop.drain()
        assert (shop.waiting(), target()) == ([], {1: "poison", 2: "poison"})


class TestDiscard:
    def test_discarded_letters_are_kept_and_what_waited_behind_them_goes_on(self, shop: Shop) -> None:
        dying(
            shop,
            "insert into account values (1, 'poison'), (2, 'poison')",
            "update account set name = 'fine'",
        )
        assert shop.discard(1, by="ann", why="a test row") == (1, 1)
        shop.drain()
        assert [(letter.seq, letter.resolution) for letter in shop.letters()] == [
            (1, "discarded"), (2, None), (3, "replayed"), (4, None),
        ]  # fmt: skip
        assert shop.run("select resolved_by, resolved_reason from pgevents.dead_letter where seq = 1") == [
            ("ann", "a test row")
        ]
        assert shop.model() == {1: "fine"}

    def test_a_letter_between_others_is_discarded_and_nothing_overtakes_the_first(self, shop: Shop) -> None:
        dying(
            shop,
            "insert into account values (1, 'poison')",
            "update account set name = 'a'",
            "update account set name = 'b'",
        )
        assert shop.discard(2) == (1, 0)
        shop.drain()
        assert shop.waiting() == [1, 3]

    def test_what_is_being_replayed_cannot_be_discarded(self, shop: Shop) -> None:
        dying(shop, "insert into account values (1, 'poison')", "update account set name = 'fine'")
        shop.replay(1)
        assert shop.discard(1, 2) == (0, 0)
        shop.drain()
        assert [letter.resolution for letter in shop.letters()] == ["replayed", "replayed"]

    def test_discard_and_replay_at_once_leave_each_letter_with_one_of_the_two(self, shop: Shop) -> None:
        dying(shop, *[f"insert into account values ({number}, 'poison')" for number in range(1, 41)])
        others = [Shop.ids(shop, [seq]) for seq in range(1, 41)]
        connections = [shop.captured.lambda_connection() for _ in range(2)]

        def replay() -> int:
            query = "select coalesce(sum(events), 0) from pgevents.replay(%s, 100, '', '')"
            return sum(int(connections[0].execute(query, (ids,)).fetchone()[0]) for ids in others)  # type: ignore[index]

        def discard() -> int:
            query = "select discarded from pgevents.discard_letters(%s, 100, '', '')"
            return sum(connections[1].execute(query, (ids,)).fetchone()[0] for ids in reversed(others))  # type: ignore[index]

        with ThreadPoolExecutor(2) as threads:
            replaying, discarding = threads.submit(replay), threads.submit(discard)
            replayed, discarded = replaying.result(), discarding.result()
        shop.drain()
        assert replayed + discarded == 40
        assert [letter.resolution for letter in shop.letters()].count("discarded") == discarded
        assert len(shop.model()) == replayed


class TestAtOnce:
    def test_two_operators_who_replay_the_same_letters_send_them_once(self, shop: Shop) -> None:
        dying(shop, *[f"insert into account values ({number}, 'poison')" for number in range(1, 21)])
        ids = shop.ids(range(1, 21))
        connections = [shop.captured.lambda_connection() for _ in range(4)]
        query = "select coalesce(sum(events), 0) from pgevents.replay(%s, 100, '', '')"
        with ThreadPoolExecutor(4) as threads:
            sent = list(threads.map(lambda each: each.execute(query, (ids,)).fetchone()[0], connections))  # type: ignore[index]
        assert sorted(map(int, sent)) == [0, 0, 0, 20]
        shop.drain()
        assert shop.model() == shop.table()

    def test_replays_beside_writers_and_drains_leave_nothing_behind(self, shop: Shop) -> None:
        """Rows die and are replayed again and again while they change; in the end nothing is poison."""
        shop.poisoned()

        def write(seed: int) -> None:
            with shop.captured.connect() as connection:
                for number in range(40):
                    row = (seed * 7 + number) % 5
                    name = "poison" if number % 4 == 0 else f"{seed}-{number}"
                    connection.execute(
                        "insert into account values (%s, %s) on conflict (id) do update set name = excluded.name",
                        (row, name),
                    )

        def drain() -> None:
            outbox = Outbox(NAME, shop.captured.lambda_connection())
            for _ in range(25):
                shop.new_drain(outbox).run(overdue_seconds=3_600)

        def replay() -> None:
            connection = shop.captured.lambda_connection()
            for _ in range(25):
                connection.execute(
                    "select pgevents.replay(array(select dead_letter_id from pgevents.dead_letter), 3, '', '')"
                )

        with ThreadPoolExecutor(5) as threads:
            for each in [threads.submit(write, seed) for seed in (1, 2)] + [
                threads.submit(drain), threads.submit(drain), threads.submit(replay),
            ]:  # fmt: skip
                each.result()
        shop.poisoned()
        shop.drain()
        shop.replay(*shop.waiting())
        shop.drain()
        assert shop.waiting() == []
        assert shop.model() == shop.table()
        assert shop.run("select count(*) from pgevents.dead_key") == [(0,)]
        assert {state for _, state in shop.states()} == {"applied"}


@pytest.mark.parametrize("afterwards", [False, True], ids=["before", "after"])
def test_a_replay_cut_off_at_any_step_loses_nothing_and_repeats_no_effect(
    captured: Captured, shop: Shop, afterwards: bool
) -> None:
    shop.route("model", "archive", "warehouse")
    cut = 0
    for at_call in range(1, 30):
        shop.poisoned("worse")
        name = f"row {at_call}"
        dying(shop, f"insert into account values ({at_call}, 'poison')", f"insert into account values (-{at_call}, 'worse')",
              f"update account set name = '{name}' where id = {at_call}")  # fmt: skip
        shop.replay(*shop.waiting())
        connection = captured.lambda_connection()
        try:
            shop.new_drain(Failing(Outbox(NAME, connection), at_call, afterwards)).run()  # type: ignore[arg-type]
        except Interruption:
            cut += 1
        connection.close()
        shop.poisoned("worse")
        shop.drain()
        shop.confirm()
        shop.replay(*shop.waiting())
        shop.drain()
        shop.confirm()
        assert (shop.waiting(), shop.model()) == ([], shop.table()), f"after a cut at call {at_call}"
        assert shop.archive.seqs() == sorted(set(shop.archive.seqs()))
    assert cut > 15
    assert {state for _, state in shop.states()} == {"applied"}
    assert len(shop.archive.seqs()) == 3 * 29


def test_a_held_batch_is_the_same_after_its_letters_were_replayed(shop: Shop) -> None:
    """Taken again for the archive, it does not bring once more what the replay has brought."""
    shop.route("model", "archive")
    shop.run("insert into pgevents.paused (what) values ('archive')")
    dying(shop, "insert into account values (1, 'poison'), (2, 'fine')", "update account set name = 'later'")
    shop.replay(1)
    shop.drain()
    assert shop.archive.versions == {}
    shop.run("delete from pgevents.paused")
    shop.drain()
    assert shop.archive.seqs() == [1, 2, 3, 4]
    assert (shop.waiting(), shop.model()) == ([], shop.table())


def test_a_large_replay_is_cut_into_batches_and_the_later_ones_wait_behind_what_fails(
    captured: Captured,
) -> None:
    shop = Shop(captured, Limits(batch_events=10))
    shop.poisoned("worse")
    dying(
        shop,
        "insert into account values (1, 'poison')",
        *["update account set name = 'worse' where name <> 'worse'"],
        *[f"update account set name = 'n{number}'" for number in range(30)],
    )
    assert shop.replay(1) == 4
    shop.drain()
    assert shop.letters()[:3] == [
        Letter(1, "replayed", 1, BAD),
        Letter(2, None, 1, "ValueError: worse is not to be taken"),
        Letter(3, None, 0, WAITS),
    ]
    assert len(shop.waiting()) == 31
    shop.poisoned("worse")
    shop.replay(32)
    shop.drain()
    assert (shop.waiting(), shop.model()) == ([], {1: "n29"})


def test_letters_that_are_too_old_are_left(shop: Shop) -> None:
    dying(shop, "insert into account values (1, 'poison')", "update account set name = 'fine'")
    shop.run("update pgevents.dead_letter set died_at = died_at - interval '29 days' where seq = 1")
    shop.replay(2)
    shop.drain()
    assert shop.letters() == [Letter(1, None, 1, BAD), Letter(2, None, 0, WAITS)]
    assert shop.discard(1) == (1, 1)
    shop.drain()
    assert shop.model() == {1: "fine"}


def test_letters_whose_replay_is_dead_wait_again(shop: Shop) -> None:
    dying(shop, "insert into account values (1, 'poison')")
    shop.replay(1)
    shop.run("update pgevents.batch set state = 'dead' where kind = 'replay'")
    shop.run("update account set name = 'later'")
    shop.sweep()
    assert shop.run("select seq, replay_batch_id from pgevents.dead_letter order by seq") == [
        (1, None),
        (2, None),
    ]
    shop.replay(1)
    shop.drain()
    assert shop.model() == {1: "later"}


def test_letters_that_are_being_replayed_count_as_not_applied(shop: Shop) -> None:
    unapplied = "select pgevents.unapplied_events(pg_current_snapshot())"
    dying(shop, "insert into account values (1, 'poison')")
    assert shop.run(unapplied) == [(0,)]
    shop.replay(1)
    assert shop.run(unapplied) == [(1,)]
    shop.drain()
    assert shop.run(unapplied) == [(0,)]


def test_a_replay_does_not_keep_the_outbox_from_giving_space_back(shop: Shop) -> None:
    shop.route("model", "warehouse")
    dying(shop, "insert into account values (1, 'poison')")
    shop.confirm()
    shop.replay(1)
    shop.drain()
    shop.run("insert into account values (2, 'fine')")
    shop.drain()
    shop.captured.outbox.mark_applied(shop.forwarded[-1].batch_id)
    assert ("replay", "forwarded") in shop.states()
    shop.run("select setval('pgevents.outbox_half', 1)")
    shop.captured.outbox.rotate()
    assert shop.run("select pg_relation_size('pgevents.outbox_1_0')") == [(0,)]


def test_a_truncate_that_died_is_replayed_and_takes_only_what_is_older(shop: Shop) -> None:
    from pgevents import ChangeEvent, on

    broken = [True]

    @on(f"{NAME}.public.account", "TRUNCATE")
    def truncated(event: ChangeEvent) -> None:
        if broken[0]:
            raise TransientError("not now")

    shop.run("insert into account values (1, 'ann')")
    shop.run("truncate account")
    shop.run("insert into account values (2, 'bob')")
    shop.drain()
    assert shop.letters() == [Letter(2, None, 1, "TransientError: not now")]
    broken[0] = False
    shop.replay(2)
    shop.drain()
    assert shop.waiting() == []
