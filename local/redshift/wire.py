"""PostgreSQL's protocol, version 3, as far as something between a client and a server has to read it."""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import NamedTuple

PROTOCOL_3 = 3
SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102
HEADER = 5
CHUNK = 1 << 18


class Message(NamedTuple):
    """One message: its type (a letter) and what follows the length."""

    kind: bytes
    body: bytes

    def encoded(self) -> bytes:
        """As it goes over the wire."""
        return self.kind + struct.pack("!i", len(self.body) + 4) + self.body


async def read_message(reader: asyncio.StreamReader) -> Message:
    """The next message of a client. Raises asyncio.IncompleteReadError when it hangs up."""
    kind, length = struct.unpack("!ci", await reader.readexactly(HEADER))
    return Message(kind, await reader.readexactly(length - 4))


async def read_startup(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The code and the rest of a message that comes before the types begin."""
    length, code = struct.unpack("!ii", await reader.readexactly(8))
    return code, await reader.readexactly(length - 8)


def startup(code: int, body: bytes) -> bytes:
    """A message that `read_startup` would read."""
    return struct.pack("!ii", len(body) + 8, code) + body


def parameters(body: bytes) -> dict[str, str]:
    """The parameters of a startup message."""
    fields = body.decode(errors="replace").split("\0")
    return {name: value for name, value in zip(fields[::2], fields[1::2], strict=False) if name}


def encode_parameters(values: Mapping[str, str]) -> bytes:
    """What `parameters` reads."""
    return b"".join(f"{name}\0{value}\0".encode() for name, value in values.items()) + b"\0"


def query(sql: str) -> Message:
    """A query of the simple protocol."""
    return Message(b"Q", sql.encode() + b"\0")


def parse(name: bytes, sql: str, types: bytes = b"\0\0") -> Message:
    """A Parse; `types` are the parameter types as they came, count included."""
    return Message(b"P", name + b"\0" + sql.encode() + b"\0" + types)


def copy_data(rows: bytes) -> Iterator[bytes]:
    """Rows for a COPY from this side, and the word that they are all."""
    for start in range(0, len(rows), CHUNK):
        yield Message(b"d", rows[start : start + CHUNK]).encoded()
    yield Message(b"c", b"").encoded()


def error(code: str, message: str, detail: str = "", severity: str = "ERROR") -> Message:
    """An ErrorResponse."""
    fields = {"S": severity, "V": severity, "C": code, "M": message, "D": detail}
    body = b"".join(f"{key}{text}\0".encode() for key, text in fields.items() if text)
    return Message(b"E", body + b"\0")


def error_fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse by their letters."""
    return {field[:1]: field[1:] for field in body.decode(errors="replace").split("\0") if field}


def encode_error(fields: Mapping[str, str]) -> Message:
    """What `error_fields` reads."""
    return Message(b"E", b"".join(f"{key}{text}\0".encode() for key, text in fields.items()) + b"\0")


async def read_messages(
    reader: asyncio.StreamReader, wanted: bytes | bytearray
) -> AsyncIterator[Message | bytes]:
    """What a server sends: messages of the wanted types, and whole runs of all others as they came.

    Rows are never unpacked, so a large result costs little more than the copy. Ends when the server hangs up.
    """
    buffer = bytearray()
    while chunk := await reader.read(CHUNK):
        buffer += chunk
        for part in _whole_messages(buffer, wanted):
            yield part


def _whole_messages(buffer: bytearray, wanted: bytes | bytearray) -> list[Message | bytes]:
    """Takes the whole messages out of the buffer, from its front."""
    parts: list[Message | bytes] = []
    position = run = 0
    while len(buffer) - position >= HEADER:
        end = position + 1 + int.from_bytes(buffer[position + 1 : position + HEADER], "big")
        if end > len(buffer):
            break
        if buffer[position] in wanted:
            if run < position:
                parts.append(bytes(buffer[run:position]))
            parts.append(
                Message(bytes(buffer[position : position + 1]), bytes(buffer[position + HEADER : end]))
            )
            run = end
        position = end
    if run < position:
        parts.append(bytes(buffer[run:position]))
    del buffer[:position]
    return parts
