"""A running stack: every endpoint answers, what ends comes back, and a kill of everything loses nothing."""

import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from local.emulator import Emulator
from local.programs.environment import PROJECT
from local.stack import running
from local.stack.functions import BUCKET, DEAD_LETTERS
from local.stack.leftovers import FILE, Process
from local.stack.state import holder
from ops.endpoints import Endpoints, read_endpoints
from pgevents.errors import InputError

from .conftest import processes_of

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux's /proc")
State = tuple[Path, Endpoints]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    """One stack for all tests of this module; it survives each of them."""
    state = tmp_path_factory.mktemp("stack") / "a state"
    with running(PROJECT, state) as endpoints:
        yield state, endpoints
    assert processes_of(state) == {}
    assert not (state / "endpoints.json").exists()


def ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310
        return reply.read()


def value(dsn: str, query: str) -> Any:
    with psycopg.connect(dsn, connect_timeout=5) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
    return row[0] if row else None


def eventually(holds: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What it gives once that is true. What cannot be reached yet counts as not true."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := holds():
                return found
        except (psycopg.Error, OSError) as error:
            found = error
        assert time.monotonic() < deadline, f"still {found!r} after {seconds:g} s"
        time.sleep(0.05)


def test_every_endpoint_answers(stack: State) -> None:
    _, endpoints = stack
    assert set(endpoints.sources) == {"accounts", "certificates"}
    for name, dsn in endpoints.sources.items():
        assert value(dsn, "select current_database()") == name
        assert value(dsn, "select count(*) from pg_trigger where tgname like '%pgevents%'") > 0
    assert value(endpoints.postgres, "select current_database()") == "replica"
    assert value(endpoints.redshift.dsn, "select can_json_parse('[1]')") is True
    assert set(json.loads(ask(f"{endpoints.lambda_}/_pgevents/stats"))) == {
        "pgevents-transform",
        "pgevents-redshift-writer",
    }
    assert b"<html" in ask(endpoints.console).lower()


def test_bucket_queue_and_secrets_are_there(stack: State) -> None:
    _, endpoints = stack
    aws = Emulator(Path("unused"), int(endpoints.aws.rpartition(":")[2])).session
    buckets = aws.client("s3", endpoint_url=endpoints.aws).list_buckets()["Buckets"]
    assert [bucket["Name"] for bucket in buckets] == [BUCKET]
    queues = aws.client("sqs", endpoint_url=endpoints.aws).list_queues()["QueueUrls"]
    assert [url.rpartition("/")[2] for url in queues] == [DEAD_LETTERS]
    secrets = aws.client("secretsmanager", endpoint_url=endpoints.aws).list_secrets()["SecretList"]
    names = {"pgevents/accounts", "pgevents/certificates", "pgevents/replica", "pgevents/warehouse"}
    assert {secret["Name"] for secret in secrets} == names


def test_a_source_invokes_the_transform_through_aws_lambda(stack: State) -> None:
    _, endpoints = stack
    call = "select (aws_lambda.invoke('pgevents-transform', '{\"kind\": \"sweep\"}'::json)).payload->>'kind'"
    with psycopg.connect(endpoints.sources["accounts"]) as connection:
        connection.execute("set aws_lambda.request_timeout_ms = 20000")
        assert connection.execute(call).fetchone() == ("sweep",)  # type: ignore[arg-type]


def test_a_second_start_is_told_who_runs(stack: State) -> None:
    state, _ = stack
    with pytest.raises(InputError, match=rf"in use by process {holder(state)}"), running(PROJECT, state):
        pass
    assert read_endpoints(state).lambda_


def test_a_part_that_is_killed_comes_back_with_a_line_about_it(stack: State) -> None:
    state, endpoints = stack
    server = int((state / "servers" / "sinks" / "postmaster.pid").read_text().split()[0])
    service = next(pid for pid, command in processes_of(state).items() if "local.lambda_service" in command)
    with psycopg.connect(endpoints.postgres, autocommit=True) as connection:
        connection.execute("create table public.kept as select generate_series(1, 100) as i")
    os.kill(server, signal.SIGKILL)
    os.kill(service, signal.SIGKILL)
    assert eventually(lambda: value(endpoints.postgres, "select count(*) from public.kept")) == 100
    assert eventually(lambda: ask(f"{endpoints.lambda_}/_pgevents/stats"))
    log = (state / "logs" / "up.log").read_text()
    for name in ("PostgreSQL (sinks)", "Lambda service"):
        assert f"{name} ended (signal SIGKILL): starting it again, time 1 of 5" in log


def test_a_kill_of_the_supervisor_takes_everything_along_and_the_next_start_has_everything(
    stack: State,
) -> None:
    """The last of this module: it ends the stack of the others."""
    state, endpoints = stack
    with psycopg.connect(endpoints.sources["accounts"], autocommit=True) as connection:
        connection.execute("create table public.kept as select generate_series(1, 1000) as i")
    noted = msgspec.json.decode((state / FILE).read_bytes(), type=list[Process])
    assert len(noted) >= 8
    supervisor = holder(state)
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: not any(process.lives() for process in noted), 20)
    with running(PROJECT, state) as again:
        assert again == endpoints
        assert value(again.sources["accounts"], "select count(*) from public.kept") == 1000
