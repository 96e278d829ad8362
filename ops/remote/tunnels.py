"""Tunnels through the bastion: one port of this machine for each database."""

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pgevents.errors import InputError

_SECONDS = 30.0
_DOCUMENT = "AWS-StartPortForwardingSessionToRemoteHost"


class Tunnel(NamedTuple):
    """From a port of this machine to a host and port that the bastion reaches."""

    local: int
    host: str
    port: int


def session_command(tunnel: Tunnel, bastion: str, region: str) -> list[str]:
    """A port forward of Systems Manager, by AWS's own command line and its session-manager-plugin."""
    parameters = {
        "host": [tunnel.host],
        "portNumber": [str(tunnel.port)],
        "localPortNumber": [str(tunnel.local)],
    }
    target = ["--target", bastion, "--document-name", _DOCUMENT, "--parameters", json.dumps(parameters)]
    return ["aws", "ssm", "start-session", "--region", region, *target]


def ssh_command(tunnels: Sequence[Tunnel], address: str) -> list[str]:
    """All of them in one connection, with the operator's own keys."""
    forwards = [
        part for tunnel in tunnels for part in ("-L", f"127.0.0.1:{tunnel.local}:{tunnel.host}:{tunnel.port}")
    ]
    return ["ssh", "-N", "-o", "ExitOnForwardFailure=yes", *forwards, f"ec2-user@{address}"]


def commands(tunnels: Sequence[Tunnel], bastion: str, address: str, region: str) -> list[list[str]]:
    """The programs that open them. Raises InputError when one is not installed."""
    found = [session_command(tunnel, bastion, region) for tunnel in tunnels]
    if address:
        found = [ssh_command(tunnels, address)]
    for program in ("ssh",) if address else ("aws", "session-manager-plugin"):
        if shutil.which(program) is None:
            raise InputError(
                f"{program} is not installed, and the way to the databases leads through it; install it, "
                "or connect with --direct from a network that reaches them"
            )
    return found


@contextlib.contextmanager
def opened(tunnels: Sequence[Tunnel], commands: Sequence[Sequence[str]]) -> Iterator[None]:
    """They are open within. Raises InputError when one does not open."""
    with contextlib.ExitStack() as stack:
        programs = [stack.enter_context(_running(command)) for command in commands]
        for tunnel in tunnels:
            _await(tunnel, programs)
        yield


@contextlib.contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield program
    finally:
        program.terminate()
        program.wait()


def _await(tunnel: Tunnel, programs: Sequence[subprocess.Popen[bytes]]) -> None:
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        for program in programs:
            if program.poll() is not None:
                raise InputError(f"the tunnel ended with {program.returncode}; its reason is above")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", tunnel.local), 1):
            return
        time.sleep(0.2)
    raise InputError(f"the tunnel to {tunnel.host} did not open within {_SECONDS:g} s; look at the bastion")


def free_ports(count: int) -> list[int]:
    """So many ports of this machine that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
