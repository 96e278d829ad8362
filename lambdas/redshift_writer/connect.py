"""The connection to Redshift: opened when needed, kept over warm invocations, replaced when dead."""

import importlib.util
import select
import socket
import struct
import sys
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from pgevents.errors import InputError, TransientError
from pgevents.settings import Connection
from redshift_writer.literals import Quoting
from redshift_writer.simple_query import ConnectionLost, Result, ServerError, Wire, close_driver
from redshift_writer.sql import Sql

APPLICATION = "pgevents redshift_writer"
CONNECT_SECONDS = 10
ANSWER_SECONDS = 600.0
"""Longest wait for one answer. The server gives up a little earlier, so no lock outlives who waits for it."""
IDLE_SECONDS = 60.0
"""A connection that rested longer is asked whether it lives: the way to it may be forgotten."""
PING_SECONDS = 5.0

_TLS = {"disable": (False, None), "verify-ca": (True, "verify-ca"), "verify-full": (True, "verify-full")}

SecretReader = Callable[[str], str]


class Secret(msgspec.Struct, frozen=True):
    """What a Secrets Manager secret holds."""

    username: str
    password: str


class Session:
    """An open connection and what was found out about its server."""

    def __init__(self, wire: Wire, quoting: Quoting) -> None:
        self.wire = wire
        self.quoting = quoting
        self.used_at = time.monotonic()

    def run(self, sql: Sql | bytes) -> Result:
        """One message, one round trip. Raises ServerError and ConnectionLost."""
        result = self.wire.run(sql.encode() if isinstance(sql, str) else sql)
        self.used_at = time.monotonic()
        return result

    def lives(self) -> bool:
        """Whether the connection can be used: nothing unasked has arrived, and after a rest it answers."""
        try:
            if self.wire.fileno() < 0 or select.select([self.wire.fileno()], [], [], 0)[0]:
                return False
            if time.monotonic() - self.used_at > IDLE_SECONDS:
                self.wire.set_timeout(PING_SECONDS)
                self.run(b"select 1")
                self.wire.set_timeout(ANSWER_SECONDS)
        except (OSError, ValueError, ConnectionLost, ServerError):
            return False
        return True


class Sessions:
    """The one session of this process."""

    def __init__(self, settings: Connection, read_secret: SecretReader) -> None:
        self._settings = settings
        self._read_secret = read_secret
        self._session: Session | None = None

    def get(self) -> Session:
        """A session that lives. Raises as `open_session` does."""
        if self._session is not None and not self._session.lives():
            self.drop()
        if self._session is None:
            self._session = open_session(self._settings, self._read_secret)
        return self._session

    def drop(self) -> None:
        """Forgets the session: its transaction, if any, is rolled back by the server."""
        if self._session is not None:
            self._session.wire.close()
            self._session = None

    def rollback(self) -> None:
        """Ends a failed transaction, or the session when that fails too."""
        try:
            if self._session is not None and self._session.wire.in_transaction:
                self._session.run(b"rollback")
        except (ServerError, ConnectionLost):
            self.drop()


def open_session(settings: Connection, read_secret: SecretReader) -> Session:
    """Connects.

    Raises TransientError when Redshift cannot be reached, InputError for settings that can never work.
    """
    driver = load_driver()
    user, password = _credentials(settings, read_secret)
    try:
        return _prepared(Wire(_connected(driver, settings, user, password)))
    except (driver.Error, OSError, ConnectionLost, ServerError) as error:
        where = f"{settings.host}:{settings.port}/{settings.database}"
        raise TransientError(f"cannot connect to Redshift at {where} as {user}: {_words(error)}") from error


def _prepared(wire: Wire) -> Session:
    try:
        wire.set_nodelay()
        wire.set_timeout(ANSWER_SECONDS)
        return Session(wire, _asked_quoting(wire))
    except BaseException:
        wire.close()
        raise


def _asked_quoting(wire: Wire) -> Quoting:
    """Sets the server's own time limit, and asks how it reads a backslash.

    Redshift takes it for an escape. A literal that is quoted for the other way would be open at its end.
    """
    limit = int((ANSWER_SECONDS - 10) * 1000)
    answer = wire.run(rf"set statement_timeout to {limit}; select octet_length('\\')::varchar".encode())
    return Quoting(backslash_escapes=answer.rows == [("1",)])


def _connected(driver: Any, settings: Connection, user: str, password: str) -> Any:
    ssl, sslmode = _TLS[_mode(settings)]
    with warnings.catch_warnings():
        # The driver makes its TLS context in a way that Python calls outdated; we could not change that.
        warnings.simplefilter("ignore", DeprecationWarning)
        # Made and begun in two steps: a driver that fails to connect leaves its socket open.
        connection = driver.Connection.__new__(driver.Connection)
        try:
            connection.__init__(
                host=settings.host,
                port=settings.port,
                database=settings.database,
                user=user,
                password=password,
                ssl=ssl,
                sslmode=sslmode,
                timeout=CONNECT_SECONDS,
                application_name=APPLICATION,  # without one the driver walks the call stack for a name
                max_prepared_statements=0,
                tcp_keepalive_idle=30,
                tcp_keepalive_interval=10,
                tcp_keepalive_count=3,
            )
        except BaseException:
            close_driver(connection)
            raise
        return connection


def _mode(settings: Connection) -> str:
    """One of the driver's modes. `prefer`, which it lacks, is full verification wherever TLS is offered."""
    if settings.sslmode == "prefer":
        return "verify-full" if _offers_tls(settings) else "disable"
    if settings.sslmode not in _TLS:
        expected = ", ".join([*_TLS, "prefer"])
        raise InputError(f"PGEVENTS_REDSHIFT: sslmode {settings.sslmode!r} is not known; expected {expected}")
    return settings.sslmode


_TLS_REQUEST = struct.pack("!ii", 8, 80877103)


def _offers_tls(settings: Connection) -> bool:
    with socket.create_connection((settings.host, settings.port), timeout=CONNECT_SECONDS) as probe:
        probe.sendall(_TLS_REQUEST)
        return probe.recv(1) == b"S"


def _credentials(settings: Connection, read_secret: SecretReader) -> tuple[str, str]:
    """Read anew for every connection, so that a rotated secret is found."""
    if settings.iam:
        raise InputError("PGEVENTS_REDSHIFT: iam is not known to the Redshift writer; give it a secret")
    if not settings.secret:
        return settings.user, ""
    try:
        secret = msgspec.json.decode(read_secret(settings.secret), type=Secret)
    except msgspec.MsgspecError as error:
        raise InputError(f"secret {settings.secret}: expected username and password: {error}") from error
    return secret.username, secret.password


def _words(error: Exception) -> str:
    """An error in words; the driver passes the server's answer on as a dict, and causes as arguments."""
    return ": ".join(str(part.get("M", part)) if isinstance(part, dict) else str(part) for part in error.args)


def load_driver() -> Any:
    """redshift_connector without its identity providers, which pull in boto3, lxml and more."""
    if "redshift_connector" not in sys.modules:
        found = importlib.util.find_spec("redshift_connector")
        if found is None or not found.submodule_search_locations:
            raise InputError("redshift_connector is not installed")
        plugins = types.ModuleType("redshift_connector.plugin")
        plugins.__path__ = [str(Path(found.submodule_search_locations[0]) / "plugin")]
        sys.modules["redshift_connector.plugin"] = plugins
    return importlib.import_module("redshift_connector")
