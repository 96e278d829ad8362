"""One connection, few round trips, flat memory."""

import threading
import tracemalloc
from collections.abc import Iterator

import pytest

from pgevents.batch import Batch
from pgevents.errors import InputError, TransientError
from pgevents.settings import Connection
from redshift_writer import connect
from redshift_writer.connect import Sessions
from redshift_writer.simple_query import ConnectionLost, ServerError
from tests.integration.redshift_writer.changes import account, delete, insert, truncate
from tests.integration.redshift_writer.conftest import Apply, Target
from tests.local.redshift.stand_in import Running


@pytest.fixture
def sessions(warehouse: Running) -> Iterator[Sessions]:
    found = Sessions(warehouse.settings, lambda name: "")
    yield found
    found.drop()


def test_batch_takes_two_round_trips_once_its_tables_are_known(target: Target, apply: Apply) -> None:
    assert apply(account(insert(1, 1), mode="both")).round_trips <= 8
    before = target.warehouse.control.counters()
    applied = apply(account(insert(2, 1, "b"), delete(3, 2), truncate(4), insert(5, 3), mode="both"))
    after = target.warehouse.control.counters()
    assert applied.round_trips == after.round_trips - before.round_trips == 2
    assert after.connections == before.connections


def test_cold_writer_to_known_tables_takes_three_round_trips(target: Target, apply: Apply) -> None:
    apply(account(insert(1, 1)))
    assert target.writer().apply(target.batch(account(insert(2, 1)))).round_trips == 3


def test_memory_stays_flat_over_warm_invocations(target: Target, apply: Apply) -> None:
    def batch(number: int) -> Batch:
        return target.batch(*[account(*[insert(number * 100 + key, key, "x" * 5_000) for key in range(100)])])

    writer = target.writer()
    for number in range(5):
        writer.apply(batch(number))
    tracemalloc.start()
    try:
        for number in range(5, 25):
            writer.apply(batch(number))
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 200_000  # 20 batches of 0.5 MB each went by


def test_session_is_kept_and_names_itself(target: Target, sessions: Sessions) -> None:
    session = sessions.get()
    assert sessions.get() is session
    named = (
        "select count(*) from pg_stat_activity where application_name = 'pgevents redshift_writer' and pid = "
    )
    ((pid,),) = session.run(b"select pg_backend_pid()::varchar").rows
    assert target.look(named + str(pid)) == [(1,)]
    assert session.quoting.backslash_escapes


def test_session_that_rested_is_asked_before_it_is_used(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = sessions.get()
    monkeypatch.setattr(connect, "IDLE_SECONDS", -1.0)
    trips = session.wire.round_trips
    assert sessions.get() is session
    assert session.wire.round_trips == trips + 1


def test_session_whose_far_end_is_silent_is_replaced(
    warehouse: Running, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    from local.redshift import Fault

    session = sessions.get()
    monkeypatch.setattr(connect, "IDLE_SECONDS", -1.0)
    monkeypatch.setattr(connect, "PING_SECONDS", 0.2)
    warehouse.control.arm(Fault("delay", match="^select 1$", seconds=1.0))
    assert sessions.get() is not session


def test_server_gives_up_before_the_writer_does(sessions: Sessions) -> None:
    ((limit,),) = sessions.get().run(b"show statement_timeout").rows
    assert limit == "590s"


def test_failed_transaction_is_rolled_back_and_the_session_kept(sessions: Sessions) -> None:
    session = sessions.get()
    with pytest.raises(ServerError, match="does not exist"):
        session.run(b"begin; select * from nowhere")
    assert session.wire.in_transaction
    sessions.rollback()
    assert sessions.get() is session
    assert session.run(b"select 1::varchar").rows == [("1",)]


def test_answer_that_takes_too_long_loses_the_connection(sessions: Sessions) -> None:
    session = sessions.get()
    session.wire.set_timeout(0.2)
    with pytest.raises(ConnectionLost):
        session.run(b"select pg_sleep(2)")


def test_wrong_secret_and_wrong_settings_are_explained(warehouse: Running) -> None:
    def opened(read_secret: str = "{}", **changed: object) -> None:
        settings = Connection(**{**{name: getattr(warehouse.settings, name) for name in FIELDS}, **changed})  # type: ignore[arg-type]
        Sessions(settings, lambda name: read_secret).get()

    with pytest.raises(InputError, match="secret warehouse: expected username and password"):
        opened(secret="warehouse")
    with pytest.raises(InputError, match="sslmode 'require' is not known; expected disable, verify-ca"):
        opened(sslmode="require")
    with pytest.raises(InputError, match="iam"):
        opened(iam=True)
    with pytest.raises(TransientError, match=r'role "nobody" does not exist'):
        opened('{"username": "nobody", "password": "x"}', secret="warehouse")
    with pytest.raises(TransientError, match="refuses SSL"):
        opened(sslmode="verify-full")


FIELDS = ("host", "port", "database", "user")


def test_secret_is_read_for_each_connection(warehouse: Running) -> None:
    asked: list[str] = []

    def read(name: str) -> str:
        asked.append(name)
        return f'{{"username": "{warehouse.user}", "password": "any"}}'

    settings = Connection("127.0.0.1", warehouse.port, warehouse.database, "ignored", secret="warehouse")
    sessions = Sessions(settings, read)
    sessions.get()
    sessions.get()
    sessions.drop()
    sessions.get()
    sessions.drop()
    assert asked == ["warehouse", "warehouse"]


def test_preferred_tls_falls_back_where_none_is_offered(warehouse: Running) -> None:
    settings = Connection("127.0.0.1", warehouse.port, warehouse.database, warehouse.user, sslmode="prefer")
    sessions = Sessions(settings, lambda name: "")
    assert sessions.get().run(b"select 1::varchar").rows == [("1",)]
    sessions.drop()


def test_lock_of_a_writer_that_vanished_is_free_again(target: Target, apply: Apply) -> None:
    apply(account(insert(1, 1)))
    vanished = Sessions(target.warehouse.settings, lambda name: "")
    vanished.get().run(f'begin; lock "{target.schema}".pgevents_applied_batch'.encode())
    release = threading.Timer(0.5, vanished.drop)
    release.start()
    assert apply(account(insert(2, 1, "b"))).attempts == 1
    release.join()
