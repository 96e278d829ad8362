"""The stand-in as a program: starts, says so, ends; or says in one line why it cannot."""

import signal
import subprocess
from pathlib import Path

import msgspec
import psycopg
import pytest

from local.postgres import PostgresServer, free_port
from local.redshift import Configuration
from tests.local.redshift.stand_in import Running, running, start


def outcome(configuration: Path) -> tuple[int, str, str]:
    process = start(configuration)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def written(folder: Path, configuration: Configuration) -> Path:
    path = folder / "redshift.json"
    path.write_bytes(msgspec.json.encode(configuration))
    return path


@pytest.mark.parametrize("role", ["listen", "control"])
def test_used_port_ends_with_2_and_one_line(stand_in: Running, tmp_path: Path, role: str) -> None:
    ports = (stand_in.port, free_port()) if role == "listen" else (free_port(), stand_in.port)
    path = written(tmp_path, Configuration(ports[0], stand_in.upstream, ports[1]))
    code, out, err = outcome(path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"port {stand_in.port} is in use" in err


def test_postgresql_that_is_not_there_ends_with_2_and_one_line(tmp_path: Path) -> None:
    path = written(tmp_path, Configuration(free_port(), f"postgresql://nobody@127.0.0.1:{free_port()}/none"))
    code, out, err = outcome(path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "cannot be prepared" in err


@pytest.mark.parametrize(
    "content", ["{", '{"listen_port": "x", "dsn": ""}', '{"listen_port": 1, "dsn": "", "x": 1}']
)
def test_wrong_configuration_ends_with_2_and_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(content)
    code, out, err = outcome(path)
    assert (code, out, err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_with_0_and_hangs_up_on_clients(database: str, tmp_path: Path, number: int) -> None:
    configuration = Configuration(free_port(), database)
    process = start(written(tmp_path, configuration))
    assert process.stdout is not None
    assert "ready on 127.0.0.1" in process.stdout.readline()
    client = psycopg.connect(
        f"{database.rpartition('@')[0]}@127.0.0.1:{configuration.listen_port}/{_name(database)}"
    )
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")
    with pytest.raises(psycopg.OperationalError):
        client.execute("select 1")


def _name(dsn: str) -> str:
    return dsn.rpartition("/")[2]


def test_killed_stand_in_starts_again_on_its_database(database: str, tmp_path: Path) -> None:
    configuration = Configuration(free_port(), database)
    process = start(written(tmp_path, configuration))
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate(timeout=20)
    with running(tmp_path, database) as again, again.connect() as client:
        assert client.execute("select can_json_parse('{}')").fetchone() == (True,)


def test_two_stand_ins_that_start_on_one_database_at_once_both_work(database: str, tmp_path: Path) -> None:
    processes: list[subprocess.Popen[str]] = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        processes.append(start(written(folder, Configuration(free_port(), database))))
    for process in processes:
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        process.terminate()
        assert process.communicate(timeout=20)[1] == ""


def test_postgresql_that_goes_away_is_told_to_clients(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    server = PostgresServer(tmp_path / "data", free_port(), durable=False)
    server.start()
    try:
        with running(tmp_path, server.dsn()) as stand_in:
            server.stop("immediate")
            with pytest.raises(psycopg.OperationalError, match="cannot be reached"):
                stand_in.connect()
    finally:
        server.stop("immediate")
