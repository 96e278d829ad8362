"""PostgreSQL's simple query protocol on redshift_connector's connection.

The driver's own `execute` parses, describes and then runs: two round trips a statement, each text kept for
ever. The server takes many statements in one message and one round trip. The driver still does what it is
good at: TLS, authentication, keepalive. What is used of its insides is named here and nowhere else.
"""

import contextlib
import socket
import struct
from collections.abc import Iterable
from typing import Any

import msgspec

_HEADER = struct.Struct("!ci")


class Result(msgspec.Struct, frozen=True):
    """What a message came to: the rows of its queries as text, the row count of each statement."""

    rows: list[tuple[str | None, ...]]
    counts: list[int]


class ServerError(Exception):
    """The server refused a statement. `code` is the SQLSTATE, `done` how many of its message ran before."""

    def __init__(self, code: str, message: str, detail: str = "", done: int = 0) -> None:
        super().__init__(f"{message} ({code})" + (f": {' '.join(detail.split())}" if detail else ""))
        self.code = code
        self.message = message
        self.detail = detail
        self.done = done


class ConnectionLost(Exception):
    """The connection is gone; whether the last message took effect is not known."""


class Wire:
    """The driver's socket, statement texts in, results out. One thread at a time."""

    def __init__(self, driver_connection: Any) -> None:
        self._driver = driver_connection
        self.in_transaction = False
        self.round_trips = 0

    def fileno(self) -> int:
        """The socket's file descriptor; -1 when it is closed."""
        return int(self._socket.fileno())

    def set_nodelay(self) -> None:
        """Sends small messages at once: the driver leaves Nagle's algorithm on, 40 ms a message."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def set_timeout(self, seconds: float) -> None:
        """How long an answer may take."""
        self._socket.settimeout(seconds)

    def close(self) -> None:
        """Says goodbye if anybody listens, and closes."""
        opened = self._driver._sock, self._driver._usock
        with contextlib.suppress(Exception):  # the driver has many words for a connection that is gone
            self._driver.close()
        _close_all(opened)  # it forgets one of them when the other end was faster

    def run(self, sql: bytes) -> Result:
        """Sends one message and waits for all of its results.

        Raises ServerError for the first statement that failed (those after it did not run), ConnectionLost
        when the connection broke or the answer took too long.
        """
        self.round_trips += 1
        try:
            for part in (_HEADER.pack(b"Q", len(sql) + 5), sql, b"\0"):
                self._driver._write(part)
            self._driver._flush()
        except (OSError, ValueError, AttributeError) as error:
            raise ConnectionLost(f"the connection to Redshift broke: {error}") from error
        return self._results()

    @property
    def _socket(self) -> Any:
        return self._driver._usock

    def _results(self) -> Result:
        result = Result([], [])
        failure: ServerError | None = None
        while True:
            try:
                kind, body = self._message()
            except (OSError, ValueError, AttributeError) as error:
                raise ConnectionLost(f"the connection to Redshift broke: {failure or error}") from error
            if kind == b"D":
                result.rows.append(_fields(body))
            elif kind == b"C":
                result.counts.append(_count(body))
            elif kind == b"E" and failure is None:
                failure = _server_error(body, done=len(result.counts))
            elif kind == b"Z":
                self.in_transaction = body != b"I"
                if failure is not None:
                    raise failure
                return result

    def _message(self) -> tuple[bytes, bytes]:
        kind, length = _HEADER.unpack(self._exactly(_HEADER.size))
        return kind, self._exactly(length - 4)

    def _exactly(self, size: int) -> bytes:
        received: bytes = self._driver._read(size)
        if len(received) < size:
            raise ConnectionError("the server hung up")
        return received


def close_driver(connection: Any) -> None:
    """Closes the socket of a driver's connection, however far it has come."""
    _close_all(getattr(connection, name, None) for name in ("_sock", "_usock"))


def _close_all(opened: Iterable[Any]) -> None:
    for one in opened:
        with contextlib.suppress(OSError, ValueError):
            if one is not None:
                one.close()


def _fields(body: bytes) -> tuple[str | None, ...]:
    """A row: a count, then a length and the text of each value; the length -1 is NULL."""
    (count,) = struct.unpack_from("!H", body)
    values: list[str | None] = []
    position = 2
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, position)
        position += 4
        values.append(None if length < 0 else body[position : position + length].decode())
        position += max(length, 0)
    return tuple(values)


def _count(body: bytes) -> int:
    """The rows of a command tag like `INSERT 0 5`, 0 for a tag without a number."""
    last = body.rstrip(b"\0").rpartition(b" ")[2]
    return int(last) if last.isdigit() else 0


def _server_error(body: bytes, done: int) -> ServerError:
    fields = {field[:1]: field[1:].decode(errors="replace") for field in body.split(b"\0") if field}
    return ServerError(fields.get(b"C", ""), fields.get(b"M", ""), fields.get(b"D", ""), done)
