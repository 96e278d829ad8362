"""One client of the stand-in and its connection to PostgreSQL."""

import asyncio
import re
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from local.redshift import wire
from local.redshift.column_types import BYTE_LIMIT
from local.redshift.control import Counters
from local.redshift.copying import Command, ReadObjects, command_of, load_failed, rows_of
from local.redshift.faults import ERRORS, Fault, Faults
from local.redshift.refusals import (
    MAX_BIND_VALUES,
    MAX_STATEMENT_BYTES,
    SNAPSHOT_CONFLICT,
    STRING_TOO_LONG,
    Refusal,
    Refused,
    statement_too_large,
    too_many_values,
)
from local.redshift.sort_keys import COMPLETED
from local.redshift.tokens import Statement, statements, words
from local.redshift.translation import translate
from local.redshift.wire import Message

REDSHIFT_VERSION = "8.0.2"
_DRIVER_PARAMETERS = words(
    """client_protocol_version driver_version os_version driver_discovery_version plugin_name idp_type
    provider_name identity_namespace token_type idc_client_display_name"""
)
_SESSION = {
    "default_transaction_isolation": "repeatable read",
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    "backslash_quote": "on",
    "TimeZone": "UTC",
    # The default is for disks: with it, a table has to be ten times as large before its index is used.
    "random_page_cost": "1.1",
}
_KEPT_REFUSALS = 256
_ANSWERS = b"SEZG"
"""The server's messages that are looked at; the others pass unread."""
_COMPLETION = b"C"
"""Those that tell of a statement's end: looked at while the client must not be told of one."""


class Peer(NamedTuple):
    """One end of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Writes and waits while the other end is slow."""
        self.writer.write(data)
        await self.writer.drain()

    def abort(self) -> None:
        """Ends the connection at once; what was not sent yet is lost."""
        self.writer.transport.abort()


class Translated(NamedTuple):
    """A statement as it came and as PostgreSQL runs it.

    `copy`: the rows that it loads from S3. `then`: what runs after it, of which the client is told nothing.
    """

    original: str
    text: str
    copy: Command | None = None
    then: str = ""


class HungUp(Exception):
    """One end is gone, by itself or by a fault."""


class Session:
    """Passes messages both ways: statements as PostgreSQL runs them, errors as Redshift words them.

    What Redshift refuses is replaced by a marker that PostgreSQL fails on, so that the transaction's state
    stays PostgreSQL's own and true; the marker's error then becomes the refusal on its way back.
    """

    def __init__(
        self, client: Peer, server: Peer, faults: Faults, counters: Counters, objects: ReadObjects | None
    ) -> None:
        self._objects = objects
        self._loads: deque[tuple[str, bytes]] = deque()
        self._client = client
        self._server = server
        self._faults = faults
        self._counters = counters
        self._refusals: dict[str, Refusal] = {}
        self._marked = 0
        self._prepared: dict[bytes, str] = {}
        self._portals: dict[bytes, bytes] = {}
        self._in_transaction = False
        self._rewritten = False
        self._drop_when_ready = False
        self._is_driver = False
        self._answers = bytearray(_ANSWERS)

    async def start(self, code: int, body: bytes) -> None:
        """Sends the client's startup message on, with what every session of the warehouse has."""
        asked = wire.parameters(body)
        self._is_driver = not _DRIVER_PARAMETERS.isdisjoint(asked)
        kept = {name: value for name, value in asked.items() if name not in _DRIVER_PARAMETERS}
        await self._server.send(wire.startup(code, wire.encode_parameters({**_SESSION, **kept})))

    async def run(self) -> None:
        """Both ways until one end hangs up."""
        ways = [asyncio.create_task(way()) for way in (self._to_server, self._to_client)]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for outcome in await asyncio.gather(*ways, return_exceptions=True):
                if isinstance(outcome, Exception) and not isinstance(outcome, (HungUp, OSError, EOFError)):
                    raise outcome

    async def _to_server(self) -> None:
        handlers: dict[bytes, Callable[[Message], Awaitable[None]]] = {
            b"Q": self._query,
            b"P": self._parse,
            b"B": self._bind,
            b"E": self._execute,
        }
        while True:
            message = await wire.read_message(self._client.reader)
            self._counters.round_trips += message.kind in b"QS"
            if handler := handlers.get(message.kind):
                await handler(message)
            else:
                await self._server.send(message.encoded())

    # Queries of the simple protocol: one message, any number of statements.

    async def _query(self, message: Message) -> None:
        sql = message.body[:-1].decode()
        texts = self._translated(sql, len(message.body))
        done: list[str] = []
        for original, text, copy, then in texts:
            faults = self._faults.on_statement(original)
            await _wait_for(faults)
            if refusal := _error_of(faults):
                await self._server.send(wire.query(_joined([*done, self._mark(refusal)])).encoded())
                return
            if _has(faults, "drop_before"):
                await self._drop_after_query(done)
                return
            done.append(text if copy is None else await self._loading(copy))
            if then:
                self._answers += _COMPLETION
                done.append(then)
            if _has(faults, "drop_after"):
                await self._drop_after_query(done)
                return
        await self._server.send(wire.query(_joined(done)).encoded() if self._rewritten else message.encoded())

    async def _loading(self, copy: Command) -> str:
        """Fetches what a COPY loads, for when PostgreSQL asks for it; a marker when there is none."""
        try:
            if self._objects is None:
                raise Refused(Refusal("0A000", "this stand-in for Redshift has no S3 to COPY from"))
            rows = await asyncio.to_thread(rows_of, copy, self._objects)
        except Refused as refused:
            return self._mark(refused.refusal)
        self._loads.append((copy.table, rows))
        return copy.sql

    def _translated(self, sql: str, size: int) -> list[Translated]:
        """A text's statements; one marker when one of them is refused."""
        self._rewritten = False
        try:
            if size > MAX_STATEMENT_BYTES:
                raise Refused(statement_too_large(size))
            texts = [_translated(statement) for statement in statements(sql)]
        except Refused as refused:
            self._rewritten = True
            return [Translated(sql, self._mark(refused.refusal))]
        self._counters.statements += len(texts)
        self._rewritten = any(each.original != each.text.strip() for each in texts)
        return texts

    def _mark(self, refusal: Refusal) -> str:
        """SQL that nothing can run, whose error comes back as the refusal."""
        self._marked += 1
        self._counters.refused += 1
        marker = f"redshift_refusal_{self._marked}_"
        self._refusals[marker] = refusal
        while len(self._refusals) > _KEPT_REFUSALS:
            self._refusals.pop(next(iter(self._refusals)))
        return f"select {marker}()"

    async def _drop_after_query(self, done: list[str]) -> None:
        """Runs what came before, then hangs up on both ends without a word to the client."""
        if not done:
            self._hang_up()
        begun = self._in_transaction or done[0].lstrip().lower().startswith(("begin", "start"))
        if len(done) > 1 and not begun:
            # The statements of one message are one transaction: what is cut off would have undone the rest.
            done = ["begin", *done]
        self._drop_when_ready = True
        await self._server.send(wire.query(_joined(done)).encoded())

    def _hang_up(self) -> None:
        self._server.abort()
        self._client.abort()
        raise HungUp

    # The extended protocol: one statement is parsed, bound and executed.

    async def _parse(self, message: Message) -> None:
        name, sql_bytes, types = message.body.split(b"\0", 2)
        sql = sql_bytes.decode()
        declared = struct.unpack("!H", types[:2])[0]
        if declared > MAX_BIND_VALUES:
            text, types = self._mark(too_many_values(declared)), b"\0\0"
        else:
            [(_, text, copy, _), *more] = self._translated(sql, len(sql_bytes))
            if copy is not None:
                text = self._mark(Refusal("0A000", "this stand-in knows COPY as a simple query only"))
            if more:  # PostgreSQL refuses several statements here as Redshift does
                text = sql
        self._prepared[name] = sql
        await self._server.send(wire.parse(name, text, types).encoded())

    async def _bind(self, message: Message) -> None:
        portal, name, rest = message.body.split(b"\0", 2)
        self._portals[portal] = name
        formats = struct.unpack("!H", rest[:2])[0]
        values = struct.unpack("!H", rest[2 + 2 * formats : 4 + 2 * formats])[0]
        if values > MAX_BIND_VALUES:
            await self._fail(too_many_values(values))
        else:
            await self._server.send(message.encoded())

    async def _execute(self, message: Message) -> None:
        portal = message.body.split(b"\0", 1)[0]
        faults = self._faults.on_statement(self._prepared.get(self._portals.get(portal, b""), ""))
        await _wait_for(faults)
        if refusal := _error_of(faults):
            await self._fail(refusal)
            return
        if _has(faults, "drop_before"):
            self._hang_up()
        if _has(faults, "drop_after"):
            self._drop_when_ready = True
        await self._server.send(message.encoded())

    async def _fail(self, refusal: Refusal) -> None:
        await self._server.send(wire.parse(b"refusal", self._mark(refusal)).encoded())

    # Answers.

    async def _to_client(self) -> None:
        async for part in wire.read_messages(self._server.reader, self._answers):
            if isinstance(part, Message):
                await self._answer(part)
            elif not self._drop_when_ready:
                await self._client.send(part)

    async def _answer(self, message: Message) -> None:
        if message.kind == b"G" and self._loads:
            for part in wire.copy_data(self._loads.popleft()[1]):
                await self._server.send(part)
            return
        if message.kind == b"Z":
            if self._drop_when_ready:
                self._hang_up()
            self._in_transaction = message.body != b"I"
            self._loads.clear()
            self._answers[:] = _ANSWERS
        elif message.body == COMPLETED and message.kind == _COMPLETION:
            return
        elif message.kind == b"E":
            message = self._worded(message)
        elif self._is_driver and message.body.startswith(b"server_version\0"):
            message = Message(b"S", f"server_version\0{REDSHIFT_VERSION}\0".encode())
        if not self._drop_when_ready:
            await self._client.send(message.encoded())

    def _worded(self, message: Message) -> Message:
        """An error of PostgreSQL in Redshift's words."""
        fields = wire.error_fields(message.body)
        if refusal := self._refusal_in(fields):
            return wire.error(*refusal, severity=fields.get("S", "ERROR"))
        if self._rewritten:
            fields.pop("P", None)  # it would point into a text that the client never sent
        return wire.encode_error(fields)

    def _refusal_in(self, fields: dict[str, str]) -> Refusal | None:
        for marker in self._refusals:
            if marker in fields.get("M", ""):
                return self._refusals.pop(marker)
        if fields.get("C") == "40001":
            return SNAPSHOT_CONFLICT
        if copied := _COPIED.match(fields.get("W", "")):
            return load_failed(copied["table"], fields.get("M", ""))
        if fields.get("C") == "22001" or fields.get("n", "").startswith(BYTE_LIMIT):
            return STRING_TOO_LONG
        return None


def _translated(statement: Statement) -> Translated:
    original = statement.text.strip()
    if statement.verb == "copy":
        copy = command_of(statement)
        return Translated(original, copy.sql, copy)
    translation = translate(statement)
    return Translated(original, translation.sql, then=translation.then)


_COPIED = re.compile(r"COPY (?P<table>\S+), line \d+")
"""Where PostgreSQL says that an error struck a row of a load."""


async def _wait_for(faults: Iterable[Fault]) -> None:
    for fault in faults:
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)


def _error_of(faults: Iterable[Fault]) -> Refusal | None:
    return next((ERRORS[fault.kind] for fault in faults if fault.kind in ERRORS), None)


def _has(faults: Iterable[Fault], kind: str) -> bool:
    return any(fault.kind == kind for fault in faults)


def _joined(texts: list[str]) -> str:
    """Statements as one text. A line break first: the one before may end in a comment."""
    return "\n;".join(texts)
