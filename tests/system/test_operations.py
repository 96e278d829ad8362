"""An operator's commands on a whole pipeline under traffic: pause and resume, replay and discard."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ops import cli
from ops.endpoints import Endpoints, connect
from ops.status.waiting import wait_until_applied
from tests.system import traffic
from tests.system.test_pipeline import PATIENCE_SECONDS, differences

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    project: Path,
    state: Path,
    endpoints: Endpoints,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Runs a command line on the pipeline; its exit code, what it printed, and what it complained about."""
    for module in ("pause", "resume"):
        monkeypatch.setattr(f"ops.commands.{module}.PROJECT", project)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main([*arguments, "--state", str(state)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_paused_sinks_get_everything_when_they_are_resumed_and_the_other_one_never_waits(
    project: Path, endpoints: Endpoints, command: Command
) -> None:
    assert command("pause", "archive", "--reason", "the bucket moves")[0] == 0
    assert command("pause", "warehouse")[0] == 0
    traffic.write_concurrently(endpoints.sources["accounts"], 4, 3_000, seed=11)
    with connect("accounts", endpoints.sources["accounts"]) as source:
        source.execute("insert into ledger_entry (entry_id, amount, note) values (-1, 1, 'the last')")
    with connect("replica", endpoints.postgres) as replica:
        for _ in range(600):
            # The sink makes the table with its first row.
            exists = replica.execute("select to_regclass('ledger_entry') is not null").fetchone() == (True,)
            if exists and replica.execute("select from ledger_entry where entry_id = -1").fetchone():
                break
            replica.execute("select pg_sleep(0.1)")
    assert {(sink, found.kind) for sink, _, found in differences(project, endpoints)} == {
        ("archive", "missing"), ("warehouse", "missing"),
    }  # fmt: skip
    (status,) = json.loads(command("status", "--json")[1])
    assert {each["sink"] for each in status["attention"]["held"]} == {"archive", "warehouse"}
    assert status["batches_in_flight"] == 0
    assert command("resume", "archive")[0] == command("resume", "warehouse")[0] == 0
    assert wait_until_applied(endpoints.sources, PATIENCE_SECONDS).everything_applied
    assert differences(project, endpoints) == []
    assert command("status")[1].count("\n") == 2


def test_what_redshift_refuses_is_replayed_refused_again_and_discarded_for_what_came_after(
    project: Path, endpoints: Endpoints, command: Command
) -> None:
    with connect("accounts", endpoints.sources["accounts"]) as source:
        source.execute(
            "insert into ledger_entry (entry_id, amount, note) values (500, 1, repeat('x', 70000))"
        )
        wait_until_applied(endpoints.sources, PATIENCE_SECONDS)
        code, out, err = command("replay", "--all")
        assert (code, "0 replayed" in out, "1 died again" in err, "70000 bytes" in err) == (
            1,
            True,
            True,
            True,
        )
        source.execute("update ledger_entry set note = 'short' where entry_id = 500")
        wait_until_applied(endpoints.sources, PATIENCE_SECONDS)
    (letter,) = json.loads(command("dead-letters", "list", "--json")[1])
    assert (letter["attempts"], letter["behind"], letter["keys"]) == (2, 1, [{"entry_id": "500"}])
    code, out, _ = command(
        "dead-letters",
        "discard",
        f"accounts/{letter['dead_letter_id']}",
        "--yes",
        "--reason",
        "it was shortened",
    )
    assert (code, out) == (0, "accounts: 1 discarded; 1 that waited behind are sent again\n")
    assert wait_until_applied(endpoints.sources, PATIENCE_SECONDS).everything_applied
    assert differences(project, endpoints) == []
