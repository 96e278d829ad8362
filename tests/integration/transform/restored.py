"""Ways in which a source database comes back in an earlier state, on real servers."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from local.postgres import PostgresServer, binaries, free_port

DATABASE = "shop"


class Sources:
    """The servers of one test. `dsn` is the database that the application and the pipeline use at the moment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: list[PostgresServer] = []
        self.server = self._server("first")
        self.server.start()
        self.server.create_database(DATABASE)

    @property
    def dsn(self) -> str:
        """How to reach the source."""
        return self.server.dsn(DATABASE)

    def stop(self) -> None:
        """Ends every server."""
        for server in self._servers:
            if server.runs:
                server.stop("immediate")

    def stopped_copy(self) -> Callable[[], str]:
        """Copies the files of the stopped server; brings them back when it is called."""
        self.server.stop()
        copy = self._copied("stopped copy")
        self.server.start()
        return lambda: self._brought_back(copy)

    def running_copy(self) -> Callable[[], str]:
        """Takes a backup of the server while it runs; brings it back when it is called."""
        copy = self._backed_up()
        return lambda: self._brought_back(copy)

    def point_in_time(self) -> Callable[[], str]:
        """The same, and recovers from the backup as to a point in time: on a timeline of its own."""
        copy = self._backed_up()
        (copy / "recovery.signal").touch()
        with (copy / "postgresql.auto.conf").open("a") as settings:
            settings.write("restore_command = 'false'\n")
        return lambda: self._brought_back(copy)

    def standby(self) -> Callable[[], str]:
        """Makes a standby that falls behind; promotes it when it is called, after the first server's end."""
        standby = self._server("standby")
        command = [
            binaries.program("pg_basebackup"),
            "-D",
            standby.data,
            "-d",
            self.server.dsn(),
            "-R",
            "-c",
            "fast",
        ]
        subprocess.run(command, check=True, capture_output=True)

        def promote() -> str:
            self.server.stop("immediate")
            standby.start()
            self.server = standby
            with psycopg.connect(self.dsn, autocommit=True) as connection:
                connection.execute("select pg_promote()")
            return self.dsn

        return promote

    def dump(self) -> Callable[[], str]:
        """Dumps the database; restores it on a new server when it is called."""
        return self._dumped("second")

    def dump_onto_a_busy_server(self) -> Callable[[], str]:
        """The same, on a server whose transactions have higher numbers than those of the first one."""
        return self._dumped("second", busy=True)

    def copied_database(self) -> Callable[[], str]:
        """Copies the database within its server; the copy takes its place when it is called."""
        with psycopg.connect(self.server.dsn(), autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s", (DATABASE,)
            )
            connection.execute(f"create database earlier template {DATABASE}".encode())

        def replace() -> str:
            with psycopg.connect(self.server.dsn(), autocommit=True) as connection:
                connection.execute(f"drop database {DATABASE} with (force)".encode())
                connection.execute(f"alter database earlier rename to {DATABASE}".encode())
            return self.dsn

        return replace

    def _dumped(self, name: str, busy: bool = False) -> Callable[[], str]:
        archive = self._folder / "dump"
        command = [binaries.program("pg_dump"), "-Fc", "-f", archive, "-d", self.dsn]
        subprocess.run(command, check=True, capture_output=True)

        def restore() -> str:
            self.server.stop("immediate")
            self.server = self._server(name)
            self.server.start()
            self.server.create_database(DATABASE)
            if busy:
                spend_transactions(self.dsn)
            command = [binaries.program("pg_restore"), "-e", "-d", self.dsn, archive]
            subprocess.run(command, check=True, capture_output=True)
            return self.dsn

        return restore

    def _server(self, name: str) -> PostgresServer:
        server = PostgresServer(self._folder / name, free_port(), durable=False)
        self._servers.append(server)
        return server

    def _backed_up(self) -> Path:
        with psycopg.connect(self.server.dsn(), autocommit=True) as connection:
            connection.execute("select pg_backup_start('test', true)")
            copy = self._copied("running copy")
            row = connection.execute("select labelfile from pg_backup_stop(false)").fetchone()
        assert row is not None
        (copy / "postmaster.pid").unlink()
        (copy / "backup_label").write_text(row[0])
        # All of the log up to the end of the backup: what a backup's archive would have.
        shutil.copytree(self.server.data / "pg_wal", copy / "pg_wal", dirs_exist_ok=True)
        return copy

    def _copied(self, name: str) -> Path:
        return Path(shutil.copytree(self.server.data, self._folder / name, ignore_dangling_symlinks=True))

    def _brought_back(self, copy: Path) -> str:
        self.server.stop("immediate")
        shutil.rmtree(self.server.data)
        copy.rename(self.server.data)
        self.server.start()
        return self.dsn


def spend_transactions(dsn: str) -> None:
    """Uses up twenty thousand transaction numbers."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "do $$ begin create temp table spent (n int); for n in 1 .. 20000 loop"
            " begin insert into spent values (n); exception when others then null; end; end loop; end $$"
        )


@contextmanager
def sources(folder: Path) -> Iterator[Sources]:
    """A source database on a server of its own; all of its servers end with the block."""
    made = Sources(folder)
    try:
        yield made
    finally:
        made.stop()
