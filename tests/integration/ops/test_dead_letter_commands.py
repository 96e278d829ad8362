"""The operator's commands for dead letters and pauses, on a real source with a drain beside it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from psycopg.conninfo import make_conninfo

from ops import cli, pauses
from ops.console.server import read_overview
from ops.endpoints import Endpoints, Redshift
from ops.reconcile.run import Options, reconciled
from ops.reconcile.selection import select
from pgevents import transforms
from pgevents.config import load
from pgevents.errors import InputError, PgEventsError, TransientError
from tests.integration.db_triggers.captured import NAME, Captured
from tests.integration.transform.letters import Shop
from transform.source.outbox import Outbox

Run = Callable[..., tuple[int, str, str]]

PIPELINE = """
[sources.shop]
doorbell = "schedule"
[[sources.shop.tables]]
table = "public.account"
[sources.office]
doorbell = "schedule"
[[sources.office.tables]]
table = "public.seat"
[sinks.model]
type = "postgres"
[sinks.archive]
type = "s3"
[[routes]]
table = "shop.public.account"
sinks = ["model", "archive"]
[[routes]]
table = "office.public.seat"
sinks = ["model"]
"""


@pytest.fixture
def shop(database: str) -> Iterator[Shop]:
    with transforms.isolated(), closing(Captured(database)) as captured:
        yield Shop(captured)


@pytest.fixture
def run(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Runs a command line against the source; its exit code, what it printed, and what it complained about."""
    state = tmp_path / "state folder"
    state.mkdir()
    (tmp_path / "pipeline.toml").write_text(PIPELINE)
    endpoints = {
        "sources": {NAME: shop.captured.dsn}, "postgres": "", "redshift": {"dsn": ""}, "lambda": "", "console": "",
    }  # fmt: skip
    (state / "endpoints.json").write_text(json.dumps(endpoints))
    monkeypatch.setattr("ops.commands.pause.PROJECT", tmp_path)
    monkeypatch.setattr("ops.commands.resume.PROJECT", tmp_path)
    monkeypatch.setattr("ops.operator.getpass.getuser", lambda: "ann")

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main([*arguments, "--state", str(state)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def died(shop: Shop) -> None:
    """Two rows that died, one of them with a later event behind it."""
    shop.poisoned()
    shop.run("insert into account values (1, 'poison'), (2, 'poison')")
    shop.drain()
    shop.run("update account set name = 'fine' where id = 1")
    shop.drain()
    shop.poisoned()


def test_list_shows_what_died_and_how_much_waits_behind_it(run: Run, died: None) -> None:
    code, out, _ = run("dead-letters", "list")
    assert code == 0
    heading, first, second = out.splitlines()
    assert heading.split() == ["letter", "died", "table", "event", "key", "behind", "tried", "state", "error"]
    assert first.split()[0] == "shop/1"
    assert first.split()[3:] == [
        "public.account", "INSERT", "id=1", "1", "1", "waiting", "ValueError:", "poison", "is", "not", "to", "be", "taken",
    ]  # fmt: skip
    assert second.split()[5:8] == ["id=2", "0", "1"]


def test_list_of_a_row_has_what_waits_too(run: Run, died: None) -> None:
    code, out, _ = run("dead-letters", "list", "--key", "id=1", "--json")
    assert (code, [(each["dead_letter_id"], each["waits"]) for each in json.loads(out)]) == (
        0, [(1, False), (3, True)],
    )  # fmt: skip
    assert json.loads(run("dead-letters", "list", "--table", "public.other", "--json")[1]) == []
    none = run("dead-letters", "list", "--since", "1s", "--until", "2026-01-01")[1]
    assert none.startswith("no dead letters that fit")


def test_list_of_a_misspelt_column_does_not_say_that_nothing_died(run: Run, died: None) -> None:
    _, out, _ = run("dead-letters", "list", "--key", "acount_id=1")
    assert out == "no dead letters that fit; without a selection all are listed\n"


def test_show_has_the_row_and_the_stack(run: Run, died: None) -> None:
    code, out, _ = run("dead-letters", "show", "shop/1")
    assert code == 0
    assert "shop/1: INSERT of shop.public.account" in out
    assert "    name = poison" in out
    assert "behind it  1 later events" in out
    assert "letters.py" in out
    assert out.rstrip().endswith("ValueError: poison is not to be taken")
    assert json.loads(run("dead-letters", "show", "1", "--json")[1])["after"] == {"id": "1", "name": "poison"}


def test_replay_waits_until_the_letters_are_applied(shop: Shop, run: Run, died: None) -> None:
    done = threading.Event()

    def drain() -> None:
        outbox = Outbox(NAME, shop.captured.lambda_connection())
        while not done.wait(0.05):
            shop.new_drain(outbox).run()

    draining = threading.Thread(target=drain)
    draining.start()
    try:
        code, out, err = run("replay", "--id", "shop/1", "--reason", "mended")
    finally:
        done.set()
        draining.join()
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if line.startswith("shop")] == [
        "shop: 2 events are sent again, 1 of them because they are of the same rows",
        "shop: 2 replayed",
    ]
    assert shop.model() == {1: "fine"}
    resolved = (
        "select distinct resolved_by, resolved_reason from pgevents.dead_letter where resolved_at is not null"
    )
    assert shop.run(resolved) == [("ann", "mended")]
    assert len(json.loads(run("dead-letters", "list", "--resolved", "--json", "--key", "id=1")[1])) == 2


def test_replay_of_what_dies_again_says_why_and_fails(shop: Shop, run: Run, died: None) -> None:
    shop.poisoned()
    timer = threading.Timer(0.3, shop.drain)
    timer.start()
    code, out, err = run("replay", "--all")
    timer.join()
    assert code == 1
    assert "shop: 0 replayed" in out
    assert err == "shop: 3 died again: ValueError: poison is not to be taken\n"


def test_dry_run_sends_nothing(shop: Shop, run: Run, died: None) -> None:
    code, out, _ = run("replay", "--table", "shop.public.account", "--dry-run")
    assert (code, out) == (0, "shop: 3 events would be sent again\n")
    assert shop.run("select count(*) from pgevents.dead_letter where replay_batch_id is not null") == [(0,)]
    assert [kind for kind, _ in shop.states()] == ["window", "window"]


def option(tmp_path: Path) -> str:
    """What a hint's command takes besides, for this state folder."""
    return f" --state '{tmp_path / 'state folder'}'"


def test_replay_that_waits_for_a_paused_sink_says_so(
    shop: Shop, run: Run, died: None, tmp_path: Path
) -> None:
    shop.route("model", "archive")
    assert run("pause", "archive", "--reason", "bucket moves")[0] == 0
    timer = threading.Timer(0.3, shop.drain)
    timer.start()
    code, _, err = run("replay", "--id", "shop/2")
    timer.join()
    assert (code, err) == (1, f"shop: 1 batches wait for archive; ./pgevents status{option(tmp_path)}\n")


def test_discard_keeps_who_and_why_and_sends_what_waited(shop: Shop, run: Run, died: None) -> None:
    code, out, _ = run("dead-letters", "discard", "shop/1", "shop/2", "--yes", "--reason", "test rows")
    assert (code, out) == (0, "shop: 2 discarded; 1 that waited behind are sent again\n")
    shop.drain()
    assert shop.model() == {1: "fine"}
    assert "discarded" in run("dead-letters", "show", "shop/2")[1]
    assert run("dead-letters", "discard", "shop/1", "--yes", "--reason", "x") == (
        2, "", "pgevents: shop/1 is discarded already; nothing is discarded\n",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    {
        ("replay",): "replay what? give --id, --key, --table, --since, --until, or --all",
        ("replay", "--id", "other/1"): "'other/1' is no dead letter; expected SOURCE/NUMBER",
        ("replay", "--id", "shop/x"): "'shop/x' is no dead letter",
        ("replay", "--id", "shop/99"): "no dead letter that waits fits",
        ("replay", "--key", "id"): "--key id: expected COLUMN=VALUE",
        ("replay", "--since", "yesterday"): "--since yesterday: expected an ISO time or an age such as 2h",
        ("replay", "--table", "account"): "--table account: expected schema.table or source.schema.table",
        ("replay", "--table", "x.public.account"): "there is no source 'x'; expected one of shop",
        ("dead-letters", "show", "7"): "there is no dead letter shop/7",
        (
            "dead-letters",
            "discard",
            "shop/1",
        ): "discard needs --yes and --reason TEXT where nobody can be asked",
        (
            "pause",
            "archives",
        ): "'archives' is neither a source nor a sink in pipeline.toml; expected one of shop, office, model",
    }.items(),
)
def test_wrong_input_is_one_line_that_says_what_to_do(
    run: Run, died: None, arguments: tuple[str, ...], complaint: str
) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert complaint in err
    assert err.count("\n") == 1


class TestPause:
    def test_paused_sink_is_in_the_status_with_what_is_held_for_it(
        self, shop: Shop, run: Run, tmp_path: Path
    ) -> None:
        shop.route("model", "archive")
        code, out, _ = run("pause", "archive", "--reason", "bucket moves")
        assert code == 0
        assert out.startswith("archive is paused in shop: batches are held for it, and other sinks go on.")
        assert out.endswith(f"./pgevents resume archive{option(tmp_path)} ends it\n")
        assert run("pause", "archive")[1].startswith(
            "archive is paused in shop already, by ann: bucket moves\n"
        )
        shop.run("insert into account values (1, 'x')")
        shop.drain()
        _, out, _ = run("status")
        lines = " ".join(out.split())
        assert "shop: sink archive is paused since" in lines
        assert f"by ann (bucket moves); ./pgevents resume archive{option(tmp_path)} ends it" in lines
        assert "shop: 1 batches (1 events) are held for archive" in lines
        assert run("resume", "archive")[1] == "shop: archive goes on; 1 held batch follows\n"
        assert run("resume", "archive")[1] == "shop: archive was not paused; 1 held batch follows\n"
        shop.drain()
        assert shop.archive.seqs() == [1]
        assert "archive" not in run("status")[1]

    def test_paused_source_is_not_drained(self, shop: Shop, run: Run) -> None:
        assert run("pause", "shop")[0] == 0
        shop.run("insert into account values (1, 'x')")
        assert shop.drain().batches == 0
        assert "shop: paused since" in " ".join(run("status")[1].split())
        run("resume", "shop")
        assert shop.drain().batches == 1

    def test_sink_is_paused_in_every_source_that_routes_to_it(self, tmp_path: Path, run: Run) -> None:
        pipeline = load(tmp_path / "pipeline.toml")
        assert pauses.place(pipeline, "model").sources == ("shop", "office")
        assert pauses.place(pipeline, "archive").sources == ("shop",)
        assert pauses.place(pipeline, "office") == pauses.Place("source", "office", ("office",))
        with pytest.raises(InputError):
            pauses.place(pipeline, "source")


class TestSourceThatIsNotCaptured:
    def office_is_at(self, tmp_path: Path, dsn: str) -> None:
        path = tmp_path / "state folder" / "endpoints.json"
        endpoints = json.loads(path.read_bytes())
        path.write_text(json.dumps({**endpoints, "sources": {**endpoints["sources"], "office": dsn}}))

    @pytest.mark.parametrize("command", ["pause", "resume"])
    def test_nothing_changes_in_the_others(self, shop: Shop, run: Run, tmp_path: Path, command: str) -> None:
        self.office_is_at(tmp_path, make_conninfo(shop.captured.dsn, dbname="postgres"))
        shop.run("insert into pgevents.paused (what) select 'model' where %s", command == "resume")
        before = shop.run("select what from pgevents.paused")
        code, _, err = run(command, "model")
        assert (code, err.count("\n")) == (2, 1)
        assert "capture is not installed in source office" in err
        assert shop.run("select what from pgevents.paused") == before

    @pytest.mark.parametrize("as_json", [False, True], ids=["text", "JSON"])
    def test_status_shows_the_others_and_says_so(
        self, shop: Shop, run: Run, tmp_path: Path, as_json: bool
    ) -> None:
        self.office_is_at(tmp_path, make_conninfo(shop.captured.dsn, dbname="postgres"))
        code, out, err = run("status", *(["--json"] if as_json else []))
        assert (code, err.count("\n")) == (2, 1)
        assert "capture is not installed in source office" in err
        if as_json:
            assert [each["source"] for each in json.loads(out)] == ["shop"]
        else:
            assert out.splitlines()[1].startswith("shop")

    def test_commands_for_letters_say_so(self, shop: Shop, run: Run, tmp_path: Path) -> None:
        self.office_is_at(tmp_path, make_conninfo(shop.captured.dsn, dbname="postgres"))
        for command in (("dead-letters", "list"), ("replay", "--all")):
            assert run(*command)[0::2] == (
                1, "pgevents: capture is not installed in a source; ./pgevents doctor says in which\n",
            )  # fmt: skip

    def test_reconcile_says_so(self, shop: Shop, run: Run, tmp_path: Path) -> None:
        pipeline = load(tmp_path / "pipeline.toml")
        place = make_conninfo(shop.captured.dsn, dbname="postgres")
        endpoints = Endpoints({"office": place}, "", Redshift(""), "", "", sinks={"model": place})
        selection = select(pipeline, "office.public.seat", ["model"], None)
        path = tmp_path / "position.sqlite"
        with (
            pytest.raises(InputError, match="capture is not installed in source office"),
            reconciled(pipeline, endpoints, selection, Options(), path),
        ):
            pass

    def test_source_that_the_state_folder_does_not_know_is_wrong_input(self, run: Run) -> None:
        code, _, err = run("pause", "model")
        assert (code, err.count("\n")) == (2, 1)
        assert "the state folder does not say where source office is" in err


def test_status_says_everything_that_wants_attention(shop: Shop, run: Run, died: None) -> None:
    shop.route("model", "archive")

    def fail(batch: object) -> None:
        raise TransientError("the bucket is gone")

    shop.writers["archive"] = fail
    shop.run("insert into account values (5, 'x')")
    for _ in range(3):
        with pytest.raises(TransientError):
            shop.drain()
    shop.run("select pgevents.replay('{2}', 10, 'ann', '')")
    shop.run("select pgevents.request_snapshot('public.account', 'backfill', null, 'asked for')")
    lines = " ".join(run("status")[1].split())
    for expected in (
        "shop: 1 batches (1 events) are held for archive and follow when it takes them: archive: TransientError: the bucket is gone",
        "(held) was tried 3 times: archive: TransientError: the bucket is gone",
        "shop: 2 events wait in the dead-letter store, 1 of them behind others; ./pgevents dead-letters list",
        "shop: 1 dead letters are being sent again",
        "shop: backfill of public.account is waiting",
    ):
        assert expected in lines
    (found,) = json.loads(run("status", "--json")[1])
    assert found["dead_letters"] == 2
    assert found["attention"]["held"][0]["sink"] == "archive"


def test_status_says_at_once_that_a_route_which_does_not_fit_stops_its_source(shop: Shop, run: Run) -> None:
    fits = shop.captured.pipeline
    routes = tuple(msgspec.structs.replace(route, key=("missing",)) for route in fits.routes)
    shop.captured.pipeline = msgspec.structs.replace(fits, routes=routes)
    shop.run("insert into account values (5, 'x')")
    with pytest.raises(InputError):
        shop.drain()
    lines = " ".join(run("status")[1].split())
    assert "shop stands still at batch 1, tried 1 times: InputError: " in lines
    assert "missing" in lines
    shop.captured.pipeline = fits
    shop.drain()
    assert "stands still" not in run("status")[1]


def test_status_says_that_a_held_batch_which_cannot_be_read_stops_its_source(shop: Shop, run: Run) -> None:
    shop.route("model", "archive")
    run("pause", "archive")
    shop.run("insert into account values (5, 'x'), (6, 'y')")
    shop.drain()
    ((outbox,),) = shop.run("select outbox::text from pgevents.pending_outboxes()")
    shop.run(f"delete from {outbox} where seq = 1")
    run("resume", "archive")
    with pytest.raises(PgEventsError):
        shop.drain()
    lines = " ".join(run("status")[1].split())
    assert (
        "shop stands still at batch 1, tried 2 times: PgEventsError: source shop: batch 1 holds 1 of" in lines
    )


def test_status_does_not_say_how_old_events_are_that_no_drain_has_seen(shop: Shop, run: Run) -> None:
    shop.run("insert into account values (5, 'x')")
    (line,) = (line for line in run("status")[1].splitlines() if line.startswith("shop "))
    assert line.split()[2:4] == ["1", "-"]


def test_the_console_has_what_wants_attention(shop: Shop, run: Run, died: None, tmp_path: Path) -> None:
    overview = read_overview(tmp_path / "state folder")
    assert overview.attention == [
        "shop: 3 events wait in the dead-letter store, 1 of them behind others; "
        f"./pgevents dead-letters list{option(tmp_path)}"
    ]
    assert overview.batches[0].batch.kind == "window"
