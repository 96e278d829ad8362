"""Free ports are ones that no client is given by chance."""

import socket
from pathlib import Path

import pytest

from local.postgres import free_port, free_ports, refuse_used_port
from pgevents.errors import InputError


def test_a_client_s_own_port_is_taken_for_a_server() -> None:
    """Why free ports are none of those that clients are given."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        pytest.raises(InputError, match="is taken"),
    ):
        refuse_used_port(client.getsockname()[1])


def test_free_ports_are_different_and_below_those_of_clients() -> None:
    found = free_ports(200)
    assert len(set(found)) == 200
    given = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(given.read_text().split()[0]) if given.exists() else 32_768
    assert 20_000 <= min(found) <= max(found) < max(lowest, 32_768)


def test_a_port_in_use_is_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setattr("local.postgres.ports._FIRST", port)
    monkeypatch.setattr("local.postgres.ports._LAST", port)
    assert free_port() == port
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(InputError, match="fewer than 1 are free"),
    ):
        free_port()


def test_where_clients_are_given_all_ports_those_are_taken_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "range"
    given.write_text("1024\t60999\n")
    monkeypatch.setattr("local.postgres.ports._EPHEMERAL", given)
    assert 20_000 <= free_port() <= 32_767
