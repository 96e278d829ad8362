"""What a state folder tells: where each database is, and how a hint's command leads to the same pipeline."""

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from ops import cli
from ops.endpoints import DEFAULT_STATE, Endpoints, read_endpoints, state_option
from ops.remote.folder import Login, written
from ops.remote.places import Places
from pgevents.errors import InputError
from pgevents.settings import Connection


def at(database: str, port: int = 5432) -> Connection:
    return Connection("db.example", port, database, "", secret="secret")


PLACES = Places(
    sources={"accounts": at("books")},
    sinks={"replica": at("copy"), "mart": at("sales", 5433)},
    redshift=at("lake", 5439),
    bucket="the-bucket",
    bastion="",
    address="",
)
LOGINS = {"secret": Login("ann", "x")}


def connected(folder: Path) -> Endpoints:
    with written(folder, "dev", PLACES, LOGINS, {}):
        return read_endpoints(folder)


def test_each_of_several_postgresql_sinks_has_a_connection_of_its_own(tmp_path: Path) -> None:
    found = connected(tmp_path / "state")
    where = {name: conninfo_to_dict(dsn) for name, dsn in found.sinks.items()}
    assert {name: (each["dbname"], each["port"]) for name, each in where.items()} == {
        "replica": ("copy", "5432"),
        "mart": ("sales", "5433"),
    }
    assert found.sink("mart") == found.sinks["mart"]
    assert found.postgres == found.sinks["replica"]


def test_a_sink_that_the_folder_does_not_know_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not say where sink archive is; start it, or connect"):
        connected(tmp_path / "state").sink("archive")


def test_the_folder_goes_with_the_connection_and_the_position_of_a_reconcile_stays(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    connected(folder)
    assert not folder.exists()
    with written(folder, "dev", PLACES, LOGINS, {}):
        (folder / "reconcile.sqlite").touch()
    assert [path.name for path in folder.iterdir()] == ["reconcile.sqlite"]
    connected(folder)
    assert (folder / "reconcile.sqlite").exists()


def test_a_hint_leads_to_another_state_folder_and_says_nothing_of_the_usual_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(DEFAULT_STATE.parent)
    assert state_option(DEFAULT_STATE) == state_option(Path(".pgevents")) == ""
    assert state_option(Path(".pgevents-prod")) == " --state .pgevents-prod"
    assert state_option(Path("/tmp/a state")) == " --state '/tmp/a state'"


def test_what_starts_the_pipeline_of_a_state_folder_is_told_with_the_folder(tmp_path: Path) -> None:
    other = tmp_path / "a state"
    with pytest.raises(InputError, match=f"start it with ./pgevents up --state '{other}'"):
        read_endpoints(other)
    with pytest.raises(InputError, match="start it with ./pgevents connect prod$"):
        read_endpoints(tmp_path / ".pgevents-prod")


def test_a_file_in_the_place_of_a_state_folder_is_wrong_input(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file cannot be read: Not a directory"):
        read_endpoints(tmp_path / "file")


def test_the_state_folder_may_be_named_before_an_action_and_after_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = str(tmp_path / "before"), str(tmp_path / "after")
    for arguments, named in (
        (["--state", before, "list"], before),
        (["list", "--state", after], after),
        (["--state", before, "list", "--state", after], after),
    ):
        assert cli.main(["dead-letters", *arguments]) == 2
        assert f"nothing runs with the state folder {named};" in capsys.readouterr().err
