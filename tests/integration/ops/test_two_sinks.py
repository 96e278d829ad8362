"""Two sinks of type postgres: each is looked at where it is, whatever its database is called."""

import contextlib
import json
from pathlib import Path

import pytest

from ops import cdk, cli
from ops.comparison.sinks import open_sinks
from ops.endpoints import read_endpoints
from pgevents.config import load
from pgevents.errors import InputError

PIPELINE = """
[sources.shop]
doorbell = "schedule"
[[sources.shop.tables]]
table = "public.account"
[sinks.first]
type = "postgres"
[sinks.second]
type = "postgres"
[[routes]]
table = "shop.public.account"
sinks = ["first", "second"]
"""


def state(folder: Path, first: str, second: str) -> Path:
    (folder / "pipeline.toml").write_text(PIPELINE)
    endpoints = {
        "sources": {}, "postgres": first, "redshift": {"dsn": ""}, "lambda": "", "console": "",
        "environment": "dev", "sinks": {"first": first, "second": second},
    }  # fmt: skip
    (folder / "endpoints.json").write_text(json.dumps(endpoints))
    return folder


def test_reconcile_reaches_each_sink_by_its_own_connection(database: str, tmp_path: Path) -> None:
    endpoints = read_endpoints(state(tmp_path, database, f"{database}_gone"))
    pipeline = load(tmp_path / "pipeline.toml")
    with contextlib.ExitStack() as stack:
        assert list(open_sinks(pipeline, endpoints, stack, ["first"])) == ["first"]
        with pytest.raises(InputError, match="second cannot be reached.*_gone"):
            open_sinks(pipeline, endpoints, stack)


def test_doctor_looks_at_each_sink_by_its_own_connection(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cdk, "PROJECT", tmp_path)
    assert cli.main(["doctor", "--json", "--state", str(state(tmp_path, database, f"{database}_gone"))]) == 2
    found = {each["where"]: each for each in json.loads(capsys.readouterr().out)}
    assert (found["first"]["level"], found["second"]["level"]) == ("ok", "error")
    assert "_gone" in found["second"]["what"]
