"""The control port: one JSON object a line in, one out.

{"do": "arm", "fault": {"kind": "serialization", "match": "^commit", "count": 2}}
{"do": "clear"}       takes all faults back
{"do": "counters"}    what happened since the start
"""

import asyncio
import re
import socket
from typing import Literal

import msgspec

from local.redshift.faults import Fault, Faults


class Counters(msgspec.Struct):
    """What a stand-in has seen. A round trip is a message that a client waits on: a query, or a Sync."""

    connections: int = 0
    statements: int = 0
    round_trips: int = 0
    refused: int = 0


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line from a controller."""

    do: Literal["arm", "clear", "counters"]
    fault: Fault | None = None


class Reply(msgspec.Struct, frozen=True):
    """The answer: an error in words, or the counters and how often the armed faults struck."""

    counters: Counters
    struck: int = 0
    error: str = ""


class Control:
    """Answers controllers."""

    def __init__(self, faults: Faults, counters: Counters) -> None:
        self._faults = faults
        self._counters = counters

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one controller until it hangs up."""
        try:
            while line := await reader.readline():
                writer.write(msgspec.json.encode(self._obey(line)) + b"\n")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _obey(self, line: bytes) -> Reply:
        struck = self._faults.struck
        try:
            order = msgspec.json.decode(line, type=Order)
            if order.do == "clear":
                self._faults.clear()
            if order.do == "arm" and order.fault is not None:
                self._faults.arm(order.fault)
        except (msgspec.MsgspecError, re.error) as error:
            return Reply(self._counters, struck, error=str(error))
        return Reply(self._counters, struck)


class Controller:
    """A stand-in's control port, seen from outside. Every call is one short connection."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._address = (host, port)

    def arm(self, fault: Fault) -> None:
        """Arms a fault. Raises ValueError when the stand-in refuses it."""
        self._send(Order("arm", fault))

    def clear(self) -> int:
        """Takes all faults back; how often they have struck."""
        return self._send(Order("clear")).struck

    def counters(self) -> Counters:
        """What happened since the stand-in's start."""
        return self._send(Order("counters")).counters

    def _send(self, order: Order) -> Reply:
        with socket.create_connection(self._address, timeout=10) as connection:
            connection.sendall(msgspec.json.encode(order) + b"\n")
            with connection.makefile("rb") as answers:
                reply = msgspec.json.decode(answers.readline(), type=Reply)
        if reply.error:
            raise ValueError(reply.error)
        return reply
