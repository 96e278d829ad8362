"""Which ports a start takes."""

import socket

import pytest

from local.stack.ports import DEFAULT_BASE, Ports, choose
from pgevents.errors import InputError


def test_the_layout_counts_from_the_base_and_sources_begin_at_ten() -> None:
    ports = choose(20000, None, ["accounts", "certificates"])
    assert ports == Ports(
        20000,
        {
            "lambda": 20000,
            "postgres": 20001,
            "redshift": 20002,
            "aws": 20003,
            "redshift control": 20004,
            "redshift server": 20005,
            "console": 20006,
            "source accounts": 20010,
            "source certificates": 20011,
        },
    )
    assert ports.source("certificates") == 20011


def test_a_start_without_a_wish_takes_the_last_ports_or_else_the_usual_ones() -> None:
    assert choose(None, None, ["a"]).base == DEFAULT_BASE
    assert choose(None, choose(20000, None, ["a"]), ["a"]).base == 20000
    free = choose(0, None, ["a"])
    assert choose(None, free, ["a"]) == free


def test_free_ports_are_all_different_and_kept_for_the_next_start() -> None:
    first = choose(0, None, ["a", "b"])
    assert len(set(first.by_part.values())) == len(first.by_part)
    more = choose(0, first, ["a", "new", "b"])
    assert {name: port for name, port in more.by_part.items() if name != "source new"} == first.by_part
    assert more.source("new") not in first.by_part.values()
    fewer = choose(0, more, ["b"])
    assert fewer.source("b") == first.source("b")
    assert "source a" not in fewer.by_part


@pytest.mark.parametrize("base", [-1, 80, 65_530, 70_000])
def test_a_base_without_room_or_for_root_alone_is_refused(base: int) -> None:
    with pytest.raises(InputError, match=rf"--port {base}: choose 1024 to 65525, or 0"):
        choose(base, None, ["a"])


def test_a_port_in_use_is_named_with_its_part_and_the_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"aws: port {port} is taken .*--port"):
            Ports(0, {"aws": port}).refuse_used()
