"""A target that refuses a change names it, so that it alone becomes a dead letter."""

import time
from typing import Any

import psycopg
import pytest

from pgevents.batch import Change
from pgevents.errors import TransientError
from pgevents.refusals import RefusedChanges
from tests.integration.transform.sinks.batches import batch, delete, insert, table
from transform.sinks.postgres import Applied, PostgresSink

Target = psycopg.Connection[Any]


def refused(sink: PostgresSink, *tables: Any) -> RefusedChanges:
    with pytest.raises(RefusedChanges) as raised:
        sink.apply(batch(*tables))
    return raised.value


def count(target: Target) -> Any:
    found = target.execute("select count(*) from replica.account").fetchone()
    return found and found[0]


def test_every_value_of_the_wrong_form_is_named_and_the_rest_can_be_applied(
    sink: PostgresSink, target: Target
) -> None:
    columns = "id bigint, rank integer, at date"
    changes = [insert(n, str(n), str(n), "2026-11-22") for n in range(1, 51)]
    changes[6] = insert(7, "7", "seven", "2026-11-22")
    changes[30] = insert(31, "31", "31", "2026-02-30")
    changes[49] = insert(50, "50", "2147483648", "2026-11-22")

    error = refused(sink, table(changes, columns, mode="both"))

    named = [(found.target, found.key, found.version, found.column) for found in error.refusals]
    assert named == [
        ("account", {"id": "7"}, 7, "rank"),
        ("account", {"id": "31"}, 31, "at"),
        ("account", {"id": "50"}, 50, "rank"),
    ]
    assert 'invalid input syntax for type integer: "seven"' in error.refusals[0].reason
    assert str(error).startswith("account (id=7), column rank: invalid input syntax")
    assert str(error).endswith("(and 2 more)")

    dead = {found.version for found in error.refusals}
    rest = [change for change in changes if change.version not in dead]
    assert sink.apply(batch(table(rest, columns, mode="both"))) == Applied(already=False, rows=94)
    assert count(target) == 47


@pytest.mark.parametrize(
    ("key", "column"),
    [((None, "1"), "region"), (("a", None), "number")],
)
@pytest.mark.parametrize("make", [insert, delete])
def test_null_in_a_key_is_refused(
    sink: PostgresSink, key: tuple[str | None, ...], column: str, make: Any
) -> None:
    columns = "region text, number integer, name text"
    error = refused(
        sink, table([insert(1, "a", "1", "x"), make(2, *key, None)], columns, ("region", "number"))
    )
    assert [(found.version, found.column) for found in error.refusals] == [(2, column)]


def test_constraint_of_the_targets_own_is_named_with_the_key(sink: PostgresSink, target: Target) -> None:
    target.execute("create schema replica")
    target.execute(
        "create table replica.account (id bigint primary key, name text unique, rank int check (rank > 0))"
    )
    columns = "id bigint, name text, rank integer"
    changes = [insert(1, "1", "Ada", "1"), insert(2, "2", "Ada", "2"), insert(3, "3", "Bob", "0")]

    error = refused(sink, table(changes, columns))

    assert [(found.key, found.constraint) for found in error.refusals] == [
        ({"id": "2"}, "account_name_key"),
        ({"id": "3"}, "account_rank_check"),
    ]
    assert count(target) == 0


def test_constraint_that_is_checked_at_the_commit_is_named_too(sink: PostgresSink, target: Target) -> None:
    target.execute(
        """
        create schema replica;
        create table replica.account (
            id bigint primary key, holder bigint, rank integer unique deferrable initially deferred
        );
        create table replica.holder (id bigint primary key);
        alter table replica.account add foreign key (holder) references replica.holder (id)
        deferrable initially deferred
        """
    )
    columns = "id bigint, holder bigint, rank integer"
    holders = table([insert(1, "7")], "id bigint", target="holder")
    swapped = [insert(4, "1", "7", "2"), insert(5, "2", "7", "1")]
    sink.apply(
        batch(table([insert(2, "1", "7", "1"), insert(3, "2", "7", "2")], columns), holders, batch_id=8)
    )
    sink.apply(batch(table(swapped, columns), batch_id=9))

    error = refused(sink, table([insert(6, "3", "7", "3"), insert(7, "4", "404", "4")], columns))

    assert [(found.key, found.constraint) for found in error.refusals] == [
        ({"id": "4"}, "account_holder_fkey")
    ]


def test_trigger_that_raises_refuses_its_row_alone(sink: PostgresSink, target: Target) -> None:
    sink.apply(batch(table([insert(1, "1", "x")]), batch_id=9))
    target.execute(
        """
        create function replica.refuse() returns trigger language plpgsql as $$
        begin
            raise exception 'no % here', new.name;
        end $$;
        create trigger refuse before insert on replica.account
        for each row when (new.name = 'Eve') execute function replica.refuse()
        """
    )
    error = refused(sink, table([insert(2, "2", "Ada"), insert(3, "3", "Eve")]))
    assert [(found.key, found.reason) for found in error.refusals] == [({"id": "3"}, "no Eve here")]


@pytest.mark.parametrize("text", ["zero \0 byte", "half of a pair \ud800"])
def test_text_that_postgresql_cannot_hold_is_refused(sink: PostgresSink, text: str) -> None:
    error = refused(sink, table([insert(1, "1", "x"), insert(2, "2", text)]))
    assert [(found.version, found.column) for found in error.refusals] == [(2, "name")]


def test_key_too_long_for_an_index_is_refused(sink: PostgresSink) -> None:
    too_long = "".join(chr(0x4E00 + (n * 7919) % 20000) for n in range(6000))
    error = refused(sink, table([insert(1, "short", "x"), insert(2, too_long, "x")], "id text, name text"))
    assert [found.version for found in error.refusals] == [2]
    assert "index row" in error.refusals[0].reason


@pytest.mark.parametrize(
    ("declared", "type_", "fits", "does_not"),
    [
        ("numeric(6,2)", "numeric", "1234.50", "1234.505"),
        ("timestamp(0)", "timestamp without time zone", "2026-11-22 15:04:05", "2026-11-22 15:04:05.5"),
        ("varchar(3)", "character varying", "abc", "abcd"),
        ("varchar(3)", "text", "abc", "abc "),
        ("char(3)", "character", "ab ", "abcd"),
        ("bit(3)", "bit", "101", "1011"),
        ("numeric(6,2)[]", "numeric[]", "{1.50,NULL}", "{1.505}"),
    ],
)
@pytest.mark.parametrize("mode", ["mirror", "history", "both"])
def test_value_that_a_column_would_round_or_cut_is_refused(
    sink: PostgresSink, target: Target, declared: str, type_: str, fits: str, does_not: str, mode: Any
) -> None:
    target.execute(
        f"""
        create schema replica;
        create table replica.account (id bigint primary key, value {declared});
        create table replica.account_history (id bigint, value {declared}, _version bigint);
        alter table replica.account_history add unique (id, _version)
        """
    )
    columns = f"id bigint, value {type_}"
    error = refused(sink, table([insert(1, "1", fits), insert(2, "2", does_not)], columns, mode=mode))

    assert [(found.key["id"], found.column) for found in error.refusals] == [("2", "value")]
    assert count(target) == 0
    assert not sink.apply(
        batch(table([insert(1, "1", fits), insert(3, "3", None)], columns, mode=mode))
    ).already


def test_column_of_the_tables_own_that_may_not_be_null_refuses_no_row(
    sink: PostgresSink, target: Target
) -> None:
    """It would refuse all of them, and a person can help: nothing may become a dead letter over it."""
    target.execute("create schema replica")
    target.execute("create table replica.account (id bigint primary key, name text, mine text not null)")
    with pytest.raises(TransientError, match="give it a default"):
        sink.apply(batch(table([insert(1, "1", "x")])))


def test_one_bad_row_among_ten_thousand_is_found_in_seconds(sink: PostgresSink) -> None:
    changes = [insert(n, str(n), str(n)) for n in range(1, 10_001)]
    changes[7777] = insert(7778, "7778", "x")
    started = time.monotonic()
    error = refused(sink, table(changes, "id bigint, rank integer"))
    assert [found.version for found in error.refusals] == [7778]
    assert time.monotonic() - started < 10


def test_no_more_than_a_hundred_are_named_at_once(sink: PostgresSink) -> None:
    changes: list[Change] = [insert(n, str(n), "x") for n in range(1, 1001)]
    error = refused(sink, table(changes, "id bigint, rank integer"))
    assert [found.version for found in error.refusals] == list(range(1, 101))
