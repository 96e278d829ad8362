"""A server of one's own: durable, on loopback, never as root, gone with its parent."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from local.postgres import PostgresServer, free_port
from local.programs import Program, ProgramFailed
from pgevents.errors import InputError

Start = Callable[..., PostgresServer]
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another identity")
LINUX_ONLY = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux's /proc")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers in folders of their own, and ends them after the test."""
    servers: list[PostgresServer] = []

    def started(name: str = "data", **options: object) -> PostgresServer:
        server = PostgresServer(tmp_path / name, free_port(), **options)  # type: ignore[arg-type]
        servers.append(server)
        server.start()
        return server

    yield started
    for server in servers:
        server.stop("immediate")


def count(server: PostgresServer) -> int:
    with psycopg.connect(server.dsn()) as connection:
        row = connection.execute("select count(*) from kept").fetchone()
    assert row is not None
    return int(row[0])


def test_what_was_committed_is_there_after_kill_stop_and_restart(start: Start) -> None:
    server = start()
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("create table kept (i int)")
        connection.execute("insert into kept select generate_series(1, 1000)")
        durable = connection.execute("select current_setting('fsync'), current_setting('synchronous_commit')")
        assert durable.fetchone() == ("on", "on")
        server.kill()
    server.start()
    assert count(server) == 1000
    server.restart("immediate")
    assert count(server) == 1000
    server.restart()
    assert count(server) == 1000


def test_runs_in_a_deep_folder_with_a_space_in_its_name(start: Start) -> None:
    server = start(f"a folder/{'deep' * 30}/data")
    with psycopg.connect(server.dsn("postgres")) as connection:
        row = connection.execute(
            "select current_user, inet_server_addr()::text, current_setting('server_encoding'),"
            " current_setting('max_prepared_transactions'), datlocale"
            " from pg_database where datname = current_database()"
        ).fetchone()
    assert row == ("pgevents_admin", "127.0.0.1/32", "UTF8", "10", "C.UTF-8")


def test_settings_of_the_caller_win(start: Start) -> None:
    server = start(durable=False, settings={"track_commit_timestamp": "on", "max_connections": "50"})
    with psycopg.connect(server.dsn()) as connection:
        row = connection.execute(
            "select current_setting('track_commit_timestamp'), current_setting('max_connections'),"
            " current_setting('fsync')"
        ).fetchone()
    assert row == ("on", "50", "off")


def test_a_data_folder_of_another_release_is_refused_untouched(start: Start, tmp_path: Path) -> None:
    server = start()
    server.stop()
    marker = tmp_path / "data" / "PG_VERSION"
    marker.write_text("16\n")
    with pytest.raises(InputError, match="made by PostgreSQL 16, this is PostgreSQL 18"):
        server.start()
    assert not server.runs
    assert marker.read_text() == "16\n"


def test_a_folder_with_other_files_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="neither empty nor a PostgreSQL data folder"):
        PostgresServer(tmp_path / "data", free_port()).start()
    assert [path.name for path in tmp_path.rglob("*")] == ["data", "thesis.txt"]


def test_a_port_in_use_is_named_with_its_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = PostgresServer(tmp_path / "data", port)
        with pytest.raises(InputError, match=rf"port {port} is taken .*--port"):
            server.start()
    assert not server.runs


def test_a_second_server_on_the_same_folder_is_refused(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start()
    monkeypatch.setattr("local.postgres.server.LEFTOVER_SECONDS", 0.1)
    with pytest.raises(InputError, match=f"in use by process {server.pid}"):
        PostgresServer(server.data, free_port()).start()
    assert server.is_ready()


@LINUX_ONLY
def test_a_lock_whose_process_id_is_somebody_elses_by_now_does_not_stop_it(start: Start) -> None:
    server = start()
    lock = server.data / "postmaster.pid"
    text = lock.read_text()
    server.kill()
    stranger = Program("stranger", ["/bin/sleep", "60"], server.log, identity=server._identity)
    stranger.launch()
    try:
        lock.write_text(text.replace(text.split()[0], str(stranger.pid), 1))
        server.start()
        assert stranger.runs
        assert server.is_ready()
    finally:
        stranger.kill()


@LINUX_ONLY
def test_a_start_after_a_kill_waits_for_backends_that_still_run(start: Start) -> None:
    server = start()
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("create table kept (i int)")
        busy = threading.Thread(target=run_until_lost, args=(server, "copy (select 1) to program 'sleep 1'"))
        busy.start()
        time.sleep(0.3)
        os.kill(server.pid, signal.SIGKILL)
        server.wait(5)
        server.start()
        busy.join()
    assert count(server) == 0


def run_until_lost(server: PostgresServer, statement: str) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        try:
            connection.execute(statement)  # type: ignore[arg-type]
        except psycopg.OperationalError:
            return


PARENT = """
import sys, time
from pathlib import Path
from local.postgres import PostgresServer
server = PostgresServer(Path(sys.argv[1]), int(sys.argv[2]))
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""


@LINUX_ONLY
def test_the_server_ends_with_a_killed_parent_and_loses_nothing(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "data", free_port())
    command = [sys.executable, "-c", PARENT, str(server.data), str(server.port)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("create table kept (i int)")
            connection.execute("insert into kept values (1)")
        parent.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()
    server.start()
    try:
        assert count(server) == 1
    finally:
        server.stop()


@LINUX_ONLY
def test_four_servers_come_up_together_fresh_and_again(tmp_path: Path) -> None:
    """1.6 and 0.3 s on two quiet cores. The bounds leave room for a machine that has much else to do."""
    servers = [PostgresServer(tmp_path / f"server {number}", free_port()) for number in range(4)]

    def bring_up() -> float:
        started = time.monotonic()
        makers = [threading.Thread(target=server.initdb) for server in servers]
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join()
        for server in servers:
            server.launch()
        for server in servers:
            server.wait_until_ready()
        return time.monotonic() - started

    try:
        cold = bring_up()
        for server in servers:
            server.stop()
        warm = bring_up()
    finally:
        for server in servers:
            server.stop("immediate")
    print(f"\nfour servers: cold {cold:.2f} s, warm {warm:.2f} s")
    assert cold < 30
    assert warm < 10


def test_a_database_is_made_once_and_dropped_whoever_is_connected(postgres_server: PostgresServer) -> None:
    assert postgres_server.create_database("made once")
    assert not postgres_server.create_database("made once")
    with psycopg.connect(postgres_server.dsn("made once")):
        postgres_server.drop_database("made once")
    assert not postgres_server.has_database("made once")
    postgres_server.drop_database("made once")


def test_an_initdb_that_fails_is_told_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.postgres.server.INITDB_OPTIONS", ("--encoding=nothing",))
    server = PostgresServer(tmp_path / "data", free_port())
    with pytest.raises(ProgramFailed, match='ended with 1: initdb: error: "nothing" is not a valid'):
        server.initdb()
    assert not server.data.exists()
