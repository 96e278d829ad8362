"""The demo on real databases with real capture, drained here in the test instead of in a Lambda."""

import contextlib
import io
import threading
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from rich.console import Console

from db_triggers import installer
from demo.demonstration import demonstrate
from local.postgres import PostgresServer
from ops.comparison.difference import Compared
from ops.comparison.sinks import compare_opened, postgres_places
from pgevents import transforms
from pgevents.batch import Batch
from pgevents.config import Pipeline, PostgresSink, Route, Source, Table
from pgevents.errors import TransientError
from transform.drain import Drain
from transform.sinks.postgres import PostgresSink as PostgresWriter
from transform.source.outbox import Outbox

# The columns that the transforms add, as the project's own pipeline.toml declares them.
PIPELINE = Pipeline(
    sources={
        "accounts": Source((Table("public.account"),), doorbell="schedule"),
        "certificates": Source(
            (Table("public.certificate"), Table("public.expiry_watch")), doorbell="schedule"
        ),
    },
    sinks={"replica": PostgresSink()},
    routes=(
        Route(
            "accounts.public.account",
            ("replica",),
            columns={"legal_name": "text", "legal_form": "text", "slug": "text", "country": "text"},
        ),
        Route(
            "certificates.public.certificate",
            ("replica",),
            columns={
                "validity_days": "integer",
                "key_strength": "text",
                "expiry_year": "integer",
                "expired": "boolean",
                "serial_number": "text",
            },
        ),
        Route("certificates.public.expiry_watch", ("replica",)),
    ),
)


@pytest.fixture
def replica(postgres_server: PostgresServer) -> Iterator[str]:
    name = f"replica_{uuid4().hex}"
    postgres_server.create_database(name)
    yield postgres_server.dsn(name)
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)".encode())


@pytest.fixture
def captured(sources: dict[str, str]) -> dict[str, str]:
    transforms.load("transform.transforms", PIPELINE.routed_tables())
    for name, dsn in sources.items():
        with psycopg.connect(dsn, autocommit=True) as connection:
            installer.install(connection, name, PIPELINE.sources[name], installer.Wake("", ""))
    return sources


@pytest.fixture
def drained(captured: dict[str, str], replica: str) -> Iterator[dict[str, str]]:
    """The sources while one thread drains each of them into the replica."""
    done = threading.Event()
    threads = [
        threading.Thread(target=drain_until, args=(done, name, dsn, replica))
        for name, dsn in captured.items()
    ]
    for thread in threads:
        thread.start()
    yield captured
    done.set()
    for thread in threads:
        thread.join()


def drain_until(done: threading.Event, source: str, dsn: str, replica: str) -> None:
    with (
        psycopg.connect(dsn, autocommit=True) as connection,
        psycopg.connect(replica, autocommit=True) as target,
    ):
        sinks = {"replica": PostgresWriter(target, "public").apply}
        while not done.wait(0.02):
            Drain(PIPELINE, Outbox(source, connection), sinks, forwarded_nowhere, done.is_set).run()


def forwarded_nowhere(batch: Batch) -> None:
    raise AssertionError(f"nothing is routed to a warehouse, and yet {batch.batch_id} was forwarded")


def compared(sources: dict[str, str], replica: str) -> Iterator[Compared]:
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(psycopg.connect(replica, autocommit=True))
        opened = {
            name: stack.enter_context(psycopg.connect(dsn, autocommit=True)) for name, dsn in sources.items()
        }
        sinks = {"replica": postgres_places("replica", target, "public")}
        yield from compare_opened(PIPELINE, opened, sinks)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=100, force_terminal=False)


def test_demo_ends_with_zero_differences_through_the_real_transforms(
    console: Console, drained: dict[str, str], replica: str
) -> None:
    assert demonstrate(console, drained, lambda: compared(drained, replica), pause=0.0, patience=60.0), shown(
        console
    )
    lines = [" ".join(line.split()) for line in shown(console).splitlines()]
    assert lines[-1].endswith("rows in replica: 0 differences")
    assert "accounts.public.account 138 210 70 ·" in lines
    assert "certificates.public.expiry_watch 197 · · 34" in lines
    assert any(line.endswith("none arrived") for line in lines)
    assert any(line.startswith("commit to applied p50 ") for line in lines)
    assert any(line.startswith("cold start ") for line in lines)
    with psycopg.connect(replica) as connection:
        row = connection.execute(
            "select legal_name, legal_form, slug, country from account where organisation = 'D-Trust GmbH'"
        ).fetchone()
        assert row == ("D-Trust", "GmbH", "d-trust", "DE")
        longest = connection.execute("select max(length(serial_number)) from certificate").fetchone()
        assert longest == (48,)


def test_demo_names_the_row_that_somebody_changed_behind_its_back(
    console: Console, drained: dict[str, str], replica: str
) -> None:
    def tamper_and_compare() -> Iterator[Compared]:
        with psycopg.connect(replica) as connection:
            connection.execute("update account set slug = 'wrong' where organisation = 'Atos'")
            connection.execute("delete from expiry_watch where ctid = (select min(ctid) from expiry_watch)")
        yield from compared(drained, replica)

    assert not demonstrate(console, drained, tamper_and_compare, pause=0.0, patience=60.0)
    text = shown(console)
    assert "2 differences" in text
    assert "is different in slug" in text
    assert "replica: expiry_watch (" in text
    assert ") is missing" in text


def test_demo_says_what_is_not_applied_when_nothing_drains(
    console: Console, captured: dict[str, str]
) -> None:
    with pytest.raises(TransientError, match="accounts: 82 events are not applied after 0.2 s"):
        demonstrate(console, captured, list, pause=0.0, patience=0.2)


def test_event_in_the_dead_letter_store_fails_the_demo(
    console: Console, drained: dict[str, str], replica: str
) -> None:
    with psycopg.connect(drained["certificates"]) as connection:
        connection.execute(
            "insert into pgevents.dead_letter"
            " (batch_id, epoch, seq, table_name, event_type, keys, event, error)"
            " values (0, 1, 0, 'public.certificate', 'INSERT', '[]', '{}', 'ValueError: no')"
        )
    with pytest.raises(TransientError, match="certificates: 1 of its events wait in the dead-letter store"):
        demonstrate(console, drained, lambda: compared(drained, replica), pause=0.0, patience=60.0)
