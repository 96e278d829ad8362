"""PgQ, the queue within PostgreSQL: its triggers written in C, one event a row."""

from typing import ClassVar

from bench.peers.peer import Peer

QUEUE = "bench"


class LogUtriga(Peer):
    """Rows as url-encoded text: what PgQ's documentation tells to use for a queue of one's own."""

    name = "PgQ logutriga"
    packages = ("postgresql-15", "postgresql-15-pgq3")
    function: ClassVar[str] = "logutriga"

    def set_up(self) -> None:
        self.source.execute(
            f"create extension pgq; select pgq.create_queue('{QUEUE}');"
            f"create trigger to_queue after insert or update or delete on {self.table}"
            f" for each row execute function pgq.{self.function}('{QUEUE}')"
        )


class JsonTriga(LogUtriga):
    """Rows as JSON."""

    name = "PgQ jsontriga"
    function: ClassVar[str] = "jsontriga"
