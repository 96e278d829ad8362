"""With publish = true every event goes to whoever LISTENs, besides."""

import json
from typing import Any

import psycopg
import pytest

from pgevents.config import Table
from tests.integration.db_triggers.captured import Captured


@pytest.fixture
def account(captured: Captured) -> Captured:
    captured.run("create table account (id int primary key, name text, n numeric, felt text, secret text)")
    captured.run("create table quiet (id int primary key)")
    captured.install(Table("public.account", exclude=("secret",), publish=True), "public.quiet")
    return captured


@pytest.fixture
def listener(account: Captured) -> psycopg.Connection[Any]:
    connection = account.connect()
    connection.execute("listen pgevents_events")
    return connection


def messages(listener: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    return [json.loads(notify.payload) for notify in listener.notifies(timeout=0.2)]


def test_a_message_names_the_event_its_row_and_its_source(
    account: Captured, listener: psycopg.Connection[Any]
) -> None:
    account.run("insert into account values (1, 'ann', 1.50, 'ok', 'hidden'); update account set n = 2")
    account.run("delete from account; truncate account; insert into quiet values (1)")
    row = {"id": 1, "name": "ann", "n": 1.5, "felt": "ok"}
    source = "shop.public.account"
    assert messages(listener) == [
        {"event_type": "INSERT", "payload": row, "source": source},
        {"event_type": "UPDATE", "payload": row | {"n": 2}, "source": source},
        {"event_type": "DELETE", "payload": row | {"n": 2}, "source": source},
        {"event_type": "TRUNCATE", "payload": None, "source": source},
    ]
    assert account.differences() == []


def test_a_transaction_rolled_back_is_not_published(
    account: Captured, listener: psycopg.Connection[Any]
) -> None:
    with account.app.transaction(force_rollback=True):
        account.run("insert into account values (1)")
    assert messages(listener) == []


@pytest.mark.parametrize("letter", ["x", "ü", '"'])
def test_a_message_of_eight_thousand_bytes_becomes_a_pointer(
    account: Captured, listener: psycopg.Connection[Any], letter: str
) -> None:
    for length in range(3_900, 8_001, 20):
        account.run("insert into account (id, name) values (%s, repeat(%s, %s))", length, letter, length)
    sent = messages(listener)
    assert len(sent) == 206
    for length, message in zip(range(3_900, 8_001, 20), sent, strict=True):
        if "payload" in message:
            assert message["payload"]["name"] == letter * length
        else:
            assert message == {"event_type": "INSERT", "source": "shop.public.account", "key": {"id": length}}
    assert {"payload" in message for message in sent} == {True, False}


def test_a_key_too_long_for_a_message_is_left_out(captured: Captured) -> None:
    captured.run("create table page (address text primary key)")
    captured.run("alter table page drop constraint page_pkey; alter table page alter address set not null")
    captured.install(Table("public.page", key=("address",), publish=True))
    listener = captured.connect()
    listener.execute("listen pgevents_events")
    captured.run("insert into page values (repeat('a', 20000))")
    assert messages(listener) == [{"event_type": "INSERT", "source": "shop.public.page"}]
    assert captured.differences() == []


def test_numbers_that_json_has_no_word_for_are_published_as_text(
    account: Captured, listener: psycopg.Connection[Any]
) -> None:
    account.run("insert into account (id, n) values (1, 'NaN'), (2, 'Infinity')")
    assert [message["payload"]["n"] for message in messages(listener)] == ["NaN", "Infinity"]


def test_publishing_can_be_switched_off_again(account: Captured, listener: psycopg.Connection[Any]) -> None:
    account.install("public.account", "public.quiet")
    account.run("insert into account values (1)")
    assert messages(listener) == []
