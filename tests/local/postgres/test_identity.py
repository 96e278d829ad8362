"""Root runs a server as somebody else, wherever the project lies."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from local.postgres import PostgresServer, free_port
from local.programs.environment import environment
from local.programs.identity import (
    CAP_DAC_OVERRIDE,
    CAP_DAC_READ_SEARCH,
    OWN,
    Identity,
    not_root,
)
from pgevents.errors import InputError

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another identity")
NOBODY = (65534, 65534)


@ROOT_ONLY
@pytest.mark.parametrize(
    "identity",
    [
        Identity("user", *NOBODY, CAP_DAC_READ_SEARCH),
        Identity("user", *NOBODY, CAP_DAC_OVERRIDE),
        Identity("namespace", *NOBODY),
    ],
    ids=lambda identity: f"{identity.kind} {identity.capability}",
)
def test_a_server_below_a_folder_only_root_enters_runs_as_each_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, identity: Identity
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    if not identity.reaches([closed]):
        pytest.skip("this machine does not let root do that")
    monkeypatch.setattr("local.postgres.server.not_root", lambda owned, reach: identity)
    server = PostgresServer(closed / "data", free_port())
    server.start()
    try:
        with psycopg.connect(server.dsn()) as connection:
            connection.execute("create table t (i int)")
            assert uid_within(connection) == NOBODY[0]
        owner = (server.data / "PG_VERSION").stat().st_uid
        assert owner == (0 if identity.kind == "namespace" else NOBODY[0])
    finally:
        server.stop("immediate")


def uid_within(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    """The user that the server takes itself for, told by a program that it runs."""
    connection.execute("copy (select 1) to program 'cat > /dev/null && id -u > uid'")
    row = connection.execute("select pg_read_file('uid')").fetchone()
    assert row is not None
    return int(str(row[0]))


@ROOT_ONLY
def test_the_least_that_reaches_is_chosen(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert not_root(Path("/nowhere"), [Path("/usr")]) == Identity("user", *NOBODY)
    assert not_root(closed / "data", [closed]).capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE, None)
    assert not Identity("user", *NOBODY).reaches([closed])


@ROOT_ONLY
def test_whoever_owns_a_data_folder_keeps_it(tmp_path: Path) -> None:
    owned = tmp_path / "data"
    owned.mkdir()
    os.chown(owned, 2, 2)
    identity = not_root(owned, [Path("/usr")])
    assert (identity.uid, identity.gid) == (2, 2)
    (owned / "file").write_text("")
    Identity("user", *NOBODY).adopt(owned)
    assert {path.stat().st_uid for path in (owned, owned / "file")} == {NOBODY[0]}


@ROOT_ONLY
def test_a_machine_that_lets_root_become_nobody_is_told_of_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Identity, "reaches", lambda self, paths: False)
    with pytest.raises(InputError, match="run this as an ordinary user"):
        PostgresServer(tmp_path / "data", free_port()).start()
    assert list(tmp_path.iterdir()) == []


ORDINARY = """
import os, sys
from pathlib import Path
import psycopg
from local.postgres import PostgresServer, free_port
server = PostgresServer(Path(sys.argv[1]) / "a folder" / "data", free_port())
server.start()
with psycopg.connect(server.dsn()) as connection:
    print(os.geteuid(), connection.execute("select 1").fetchone())
server.kill()
server.start()
server.stop()
"""


@ROOT_ONLY
def test_an_ordinary_user_runs_a_server_as_himself(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, *NOBODY)
    # The capability lets this user read a project and an interpreter that may lie in root's own home.
    user = Identity("user", *NOBODY, CAP_DAC_READ_SEARCH)
    if not user.reaches([home]):
        pytest.skip("this machine does not let root do that")
    command = user.command([sys.executable, "-c", ORDINARY, home], 0)
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("65534 (1,)\n", "")


def test_nobody_but_root_needs_another_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not_root(Path("/nowhere"), []) == OWN
