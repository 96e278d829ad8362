"""`./pgevents backfill` on a real source with a drain beside it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ops import backfill, cli
from tests.integration.db_triggers.captured import NAME, Captured
from transform.source.outbox import Outbox

Run = Callable[..., tuple[int, str, str]]

PIPELINE = """
[sources.shop]
doorbell = "schedule"
[[sources.shop.tables]]
table = "public.account"
[[sources.shop.tables]]
table = "public.seat"
[sinks.model]
type = "postgres"
[[routes]]
table = "shop.public.account"
sinks = ["model"]
[[routes]]
table = "shop.public.seat"
sinks = ["model"]
"""


@pytest.fixture
def shop(database: str) -> Iterator[Captured]:
    """A source whose rows are older than its capture."""
    with closing(Captured(database)) as shop:
        shop.run("create table account (id int primary key, n int); create table seat (id int primary key)")
        shop.run(
            "insert into account select g, g from generate_series(1, 1200) as g; insert into seat values (1)"
        )
        shop.install("public.account", "public.seat")
        yield shop


@pytest.fixture
def run(
    shop: Captured, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Runs a command line against the source; its exit code, what it printed, and what it complained about."""
    (tmp_path / "pipeline.toml").write_text(PIPELINE)
    state = tmp_path / "state folder"
    state.mkdir()
    endpoints = {
        "sources": {NAME: shop.dsn},
        "postgres": "",
        "redshift": {"dsn": ""},
        "lambda": "",
        "console": "",
    }
    (state / "endpoints.json").write_text(json.dumps(endpoints))
    monkeypatch.setattr("ops.commands.backfill.PROJECT", tmp_path)
    monkeypatch.setattr("ops.operator.getpass.getuser", lambda: "ann")

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(["backfill", *arguments, "--state", str(state)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@contextmanager
def draining(shop: Captured) -> Iterator[None]:
    """A drain that is woken time and again."""
    done = threading.Event()

    def drain() -> None:
        outbox = Outbox(NAME, shop.lambda_connection())
        while not done.is_set():
            shop.new_drain(outbox, 5.0).run()
            done.wait(0.05)

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def printed_by_command(out: str) -> list[str]:
    """The lines that are not the drain's log."""
    return [line for line in out.splitlines() if not line.startswith('{"time"')]


def test_a_table_is_sent_and_applied_when_the_command_is_done(shop: Captured, run: Run) -> None:
    with draining(shop):
        code, out, _ = run("shop.public.account")
    assert (code, printed_by_command(out)) == (0, ["shop.public.account: 1,200 rows sent and applied"])
    assert shop.model.rows["t0"].keys() == shop.table_rows("public.account").keys()
    assert "t1" not in shop.model.rows
    assert shop.run("select kind, reason from pgevents.snapshot_request") == [("backfill", "backfill by ann")]


def test_every_table_is_sent_with_all(shop: Captured, run: Run) -> None:
    with draining(shop):
        code, out, _ = run("--all", "--json")
    ends = json.loads(printed_by_command(out)[-1])
    assert code == 0
    assert [(end["table"], end["state"], end["rows"]) for end in ends] == [
        ("public.account", "finished", 1200), ("public.seat", "finished", 1),
    ]  # fmt: skip
    assert shop.differences() == []


def status(tmp_path: Path) -> str:
    """The command that a hint names, for this state folder."""
    return f"./pgevents status --state '{tmp_path / 'state folder'}'"


def test_without_waiting_the_request_is_left_to_the_drain(shop: Captured, run: Run, tmp_path: Path) -> None:
    code, out, _ = run("shop.public.account", "--no-wait")
    assert (code, out) == (
        0, f"shop.public.account: request 1 is waiting; {status(tmp_path)} shows it\n",
    )  # fmt: skip
    shop.drain()
    assert len(shop.model.rows["t0"]) == 1200


def test_who_is_waited_for_is_named(shop: Captured, run: Run) -> None:
    with shop.connect(application_name="night job") as idle, idle.transaction():
        idle.execute("update account set n = 0 where id = 1")
        run("shop.public.account", "--no-wait")
        shop.drain()
        told = str(backfill.progress(shop.app, NAME, 1))
    assert told.startswith("shop.public.account: 0 rows sent; waits for process ")
    assert told.endswith(" (night job) to end")


def test_a_sink_that_batches_are_held_for_is_named(shop: Captured, run: Run) -> None:
    shop.run("update account set n = 0 where id = 1")
    shop.drain()
    shop.run("update pgevents.batch set state = 'held', held_for = '{model}', applied_at = null")
    run("shop.public.account", "--no-wait")
    told: list[str] = []

    def once(text: str) -> None:
        told.append(text)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(backfill.watch({NAME: shop.app}, [(NAME, 1)], once))
    assert told == ["shop.public.account: 0 rows sent; batches are held for model"]


def test_a_request_that_fails_is_told_with_its_error(shop: Captured, run: Run) -> None:
    shop.run("alter table account add column m int generated always as (1 / (id - 7)) virtual")
    with draining(shop):
        code, out, _ = run("shop.public.account")
    assert (code, printed_by_command(out)) == (1, ["shop.public.account: failed: division by zero"])


def test_ctrl_c_leaves_the_request_to_the_drain(
    shop: Captured, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ops.backfill.time.sleep", interrupted)
    code, out, complaint = run("shop.public.account")
    assert (code, out) == (130, "")
    assert complaint == f"the backfill goes on by itself; {status(tmp_path)} shows it\n"
    monkeypatch.undo()
    shop.drain()
    assert len(shop.model.rows["t0"]) == 1200


def test_wrong_input_is_one_line_and_exit_code_2(shop: Captured, run: Run) -> None:
    for arguments, said in (
        ([], "name one table as source.schema.table, or say --all"),
        (["shop.public.seat", "--all"], "name one table as source.schema.table, or say --all"),
        (["shop.public.acount"], "did you mean 'shop.public.account'?"),
        (["public.account"], "expected"),
    ):
        code, out, complaint = run(*arguments)
        assert (code, out) == (2, "")
        assert said in complaint
        assert complaint.count("\n") == 1
    shop.install("public.account")
    code, _, complaint = run("shop.public.seat")
    assert code == 2
    assert complaint == (
        "pgevents: shop: table public.seat is not captured; its capture has ended: no longer in pipeline.toml\n"
    )
