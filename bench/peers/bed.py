"""What peers are measured on: throwaway servers of one release, all with the same settings."""

from collections.abc import Mapping
from pathlib import Path

from bench.capture.tables import SCHEMA
from bench.peers.peer import PACKAGED_FOR, Peer, Site, missing
from local.postgres import PostgresServer, free_port
from local.postgres.binaries import Release

_DEBIAN = Path("/usr/lib/postgresql/15/bin")

SETTINGS = {
    "shared_buffers": "256MB",
    "max_connections": "150",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
    # Those that wait for their turn are stopped meanwhile.
    "wal_sender_timeout": "0",
    "wal_receiver_timeout": "0",
}
"""Of every server; all that is about durability is PostgreSQL's default."""


def debian() -> Release | None:
    """Debian's PostgreSQL, which its packages of peers are built for; None where it is not installed."""
    return Release(PACKAGED_FOR, _DEBIAN) if (_DEBIAN / "postgres").is_file() else None


class Bed:
    """Servers and databases, made in a folder as they are asked for, and ended with the block.

    `settings` are added to all servers'. `durable=False` is for those who do not look at the figures.
    """

    def __init__(
        self,
        release: Release,
        folder: Path,
        *,
        settings: Mapping[str, str] | None = None,
        durable: bool = True,
    ) -> None:
        self.release = release
        self._folder = folder
        self._settings = {**SETTINGS, **(settings or {})}
        self._durable = durable
        self._servers: dict[str, PostgresServer] = {}

    def __enter__(self) -> "Bed":
        self._folder.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers.values():
            server.stop("immediate")

    def server(self, name: str, wal_level: str = "replica") -> PostgresServer:
        """The server of this name, which runs."""
        if name not in self._servers:
            settings = {**self._settings, "wal_level": wal_level}
            self._servers[name] = server = PostgresServer(
                self._folder / name,
                free_port(),
                durable=self._durable,
                settings=settings,
                release=self.release,
            )
            server.start()
        return self._servers[name]

    def site(self, server: PostgresServer, database: str) -> Site:
        """A new database with the table, empty."""
        server.create_database(database)
        site = Site(server, database)
        site.execute(SCHEMA)
        return site

    def folder(self, name: str) -> Path:
        """A new folder."""
        folder = self._folder / name
        folder.mkdir()
        return folder

    def lacks(self, kind: type[Peer]) -> str:
        """Why a peer cannot be run here, for people; empty when it can."""
        if lacking := missing(kind):
            return f"not installed: {', '.join(lacking)}"
        if kind.packages and self.release.major != PACKAGED_FOR:
            return f"its packages are built for PostgreSQL {PACKAGED_FOR}, this is {self.release.major}"
        return ""
