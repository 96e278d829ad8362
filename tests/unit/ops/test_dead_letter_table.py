"""The list of dead letters keeps each letter's number, however long its error and narrow the terminal."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from ops import cli
from ops.commands.dead_letters import _table
from ops.dead_letters.letters import Letter


@pytest.mark.parametrize("width", [80, 160])
def test_a_long_error_takes_no_room_from_the_letters_number(width: int) -> None:
    died = datetime(2026, 11, 22, tzinfo=UTC)
    key: dict[str, str | None] = {"account_id": "2301"}
    letter = Letter(17, "public.account", "INSERT", [key], "waiting", False, 4, 1, died, "x" * 400)
    out = io.StringIO()
    Console(file=out, width=width).print(_table([("accounts", letter)]))
    assert {"accounts/17", "INSERT", "waiting"} <= set(out.getvalue().split())
    assert {"behind", "tried"} <= set(out.getvalue().split())


@pytest.mark.parametrize("limit", ["0", "-1"])
def test_a_limit_below_one_is_refused_and_not_taken_for_no_letters(
    limit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["dead-letters", "list", "--limit", limit]) == 2
    assert capsys.readouterr().err == f"pgevents: --limit {limit}: expected 1 or more\n"
