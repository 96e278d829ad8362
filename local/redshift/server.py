"""The stand-in for Redshift: a port that speaks to Redshift's clients, in front of a plain PostgreSQL."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict

from local.emulator import ACCESS_KEY, REGION
from local.redshift import wire
from local.redshift.control import Control, Counters
from local.redshift.copying import reader
from local.redshift.faults import Faults
from local.redshift.session import Peer, Session
from pgevents.errors import InputError

HOST = "127.0.0.1"
COMPATIBILITY = Path(__file__).with_name("compatibility.sql")
_LOCK = 8202_5439
"""Two stand-ins that start on one database at once add the functions one after the other."""
_LIMIT = 1 << 20

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to listen, and the PostgreSQL behind it: a superuser's connection string, no password.

    s3: the address of the S3 that COPY reads from, None for none.
    """

    listen_port: int
    dsn: str
    control_port: int | None = None
    s3: str | None = None


class RedshiftStandIn:
    """Listens on loopback, one Session a client. Faults can be armed here or through the control port."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.faults = Faults()
        self.counters = Counters()
        self._objects = reader(configuration.s3, ACCESS_KEY, REGION) if configuration.s3 else None
        self._listeners: list[asyncio.Server] = []
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Prepares the database and listens.

        Raises InputError for a port in use and a PostgreSQL that cannot be reached or prepared.
        """
        self._upstream = _address(self.configuration.dsn)
        await asyncio.to_thread(install_compatibility, self.configuration.dsn)
        await self._listen(self.configuration.listen_port, self._serve)
        if self.configuration.control_port is not None:
            control = Control(self.faults, self.counters)
            await self._listen(self.configuration.control_port, control.answer)

    async def close(self) -> None:
        """Stops listening and hangs up on every client."""
        for listener in self._listeners:
            listener.close()
        for client in tuple(self._clients):
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _listen(self, port: int, handler: Handler) -> None:
        async def tracked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._clients.add(task := asyncio.ensure_future(handler(reader, writer)))
            try:
                await task
            except (OSError, EOFError, asyncio.CancelledError):
                pass  # the client hung up, or `close` does
            finally:
                self._clients.discard(task)
                writer.transport.abort()

        try:
            self._listeners.append(await asyncio.start_server(tracked, HOST, port, limit=_LIMIT, backlog=256))
        except OSError as error:
            await self.close()
            raise InputError(f"port {port} is in use ({error.strerror}); choose another one") from error

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Peer(reader, writer)
        code, body = await _first_message(client)
        if code == wire.CANCEL_REQUEST:
            await self._cancel(body)
        elif self.faults.refuses_connection():
            client.abort()
        elif code >> 16 == wire.PROTOCOL_3:
            await self._open_session(client, code, body)

    async def _open_session(self, client: Peer, code: int, body: bytes) -> None:
        self.counters.connections += 1
        try:
            server = await self._connect()
        except OSError as error:
            lost = wire.error("57P03", f"PostgreSQL cannot be reached: {error}", severity="FATAL")
            await client.send(lost.encoded())
            client.writer.close()
            return
        try:
            session = Session(client, server, self.faults, self.counters, self._objects)
            await session.start(code, body)
            await session.run()
        finally:
            server.abort()

    async def _cancel(self, body: bytes) -> None:
        server = await self._connect()
        await server.send(wire.startup(wire.CANCEL_REQUEST, body))
        await server.reader.read()
        server.writer.close()

    async def _connect(self) -> Peer:
        host, port = self._upstream
        if host.startswith("/"):
            return Peer(*await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}", limit=_LIMIT))
        return Peer(*await asyncio.open_connection(host, port, limit=_LIMIT))


async def _first_message(client: Peer) -> tuple[int, bytes]:
    """The startup message, after every wish for encryption was declined."""
    while True:
        code, body = await wire.read_startup(client.reader)
        if code not in (wire.SSL_REQUEST, wire.GSS_REQUEST):
            return code, body
        await client.send(b"N")


def _address(dsn: str) -> tuple[str, int]:
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        raise InputError(f"dsn {dsn!r} is not a PostgreSQL connection string: {error}") from error
    return str(parts.get("host") or HOST), int(parts.get("port") or 5432)


def install_compatibility(dsn: str) -> None:
    """Adds Redshift's types, functions and system views to a database, again and again without harm.

    Raises InputError when the database cannot be reached or does not allow it.
    """
    try:
        with psycopg.connect(dsn, connect_timeout=10) as connection:
            connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
            connection.execute(COMPATIBILITY.read_bytes())
    except psycopg.Error as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"the PostgreSQL behind Redshift cannot be prepared: {reason} ({dsn})") from error


@contextlib.asynccontextmanager
async def running(configuration: Configuration) -> AsyncIterator[RedshiftStandIn]:
    """A stand-in for the length of a block."""
    stand_in = RedshiftStandIn(configuration)
    await stand_in.start()
    try:
        yield stand_in
    finally:
        await stand_in.close()
