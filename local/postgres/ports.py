"""Ports of the loopback interface for servers of one's own."""

import random
import socket
from itertools import chain, islice
from pathlib import Path

from pgevents.errors import InputError

HOST = "127.0.0.1"
_FIRST, _LAST = 20_000, 32_767
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_CHANCE = random.SystemRandom()
"""Not the module's own generator: two processes that were seeded alike would draw the same ports."""


def free_port() -> int:
    """A port that nobody listens on at this moment; see free_ports."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """So many different ports that nobody listens on at this moment.

    None of those that the system gives to clients: one of these may be gone before the server takes it, to a
    connection of anybody's. And neighbours, from somewhere on: two that look at the same moment seldom find
    the same. Raises InputError when there are too few.
    """
    # Where clients are given all of ours too, there is nothing better.
    ports = range(_FIRST, min(_LAST + 1, _first_ephemeral())) or range(_FIRST, _LAST + 1)
    start = _CHANCE.randrange(len(ports))
    found = list(islice(filter(_is_free, chain(ports[start:], ports[:start])), count))
    if len(found) < count:
        raise InputError(f"of the ports {_FIRST} to {_LAST} fewer than {count} are free; choose with --port")
    return found


def refuse_used_port(port: int) -> None:
    """Raises InputError when somebody listens on a port of the loopback interface."""
    with socket.socket() as probe:
        # As the server itself does: connections that have just ended do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise InputError(f"port {port} is taken ({error.strerror}); choose others with --port") from error


def _is_free(port: int) -> bool:
    try:
        refuse_used_port(port)
    except InputError:
        return False
    return True


def _first_ephemeral() -> int:
    """The first port that this system gives to clients; other systems than Linux begin above ours."""
    try:
        return int(_EPHEMERAL.read_text().split()[0])
    except OSError:
        return _LAST + 1
