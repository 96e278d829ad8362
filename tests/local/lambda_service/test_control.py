"""/_pgevents/: figures, processes, logs and configuration at run time."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from tests.local.lambda_service.conftest import Start
from tests.local.lambda_service.running import eventually, function, write_package

if TYPE_CHECKING:
    from local.lambda_service import LambdaService


def test_the_figures_tell_what_happened(start: Start) -> None:
    running = start(retry_delays_s=(0.01,), reserved_concurrency=1)
    running.ask({"a": 1})
    running.call({"do": "fail"})
    running.send({"b": 2})
    running.send({"do": "fail"})
    eventually(lambda: running.counts()["dead"] == 1)
    figures = running.stats()
    counts = figures["counts"]
    assert (counts["sync"], counts["async"], counts["cold_starts"]) == (2, 2, 1)
    assert (counts["successes"], counts["errors"], counts["retries"]) == (2, 4, 2)
    assert (figures["queued"], figures["busy"], figures["environments"]) == (0, 0, 1)
    assert 0 < figures["duration_p50_ms"] <= figures["duration_p99_ms"]


def test_the_environments_are_listed_with_what_they_do(start: Start) -> None:
    running = start(timeout_s=10)
    request_id = running.send({"do": "sleep", "seconds": 0.5})
    eventually(running.seen)
    [environment] = running.control("GET", "environments")[1]
    assert environment == {
        "function": "function",
        "pid": running.pids()[0],
        "invocations": 1,
        "busy_with": request_id,
    }
    assert Path(f"/proc/{environment['pid']}/cwd").readlink().name == "a package"
    eventually(lambda: running.control("GET", "environments")[1][0]["busy_with"] is None)


def test_the_log_can_be_followed_from_where_it_was_left(start: Start) -> None:
    running = start()
    running.ask({"do": "print", "text": "one"})
    _, first = running.control("GET", "functions/function/log")
    assert "one" in [line["text"] for line in first["lines"]]
    running.ask({"do": "print", "text": "two"})
    _, second = running.control("GET", f"functions/function/log?after={first['after']}")
    texts = [line["text"] for line in second["lines"]]
    assert [text.split()[0] for text in texts] == ["START", "two", "END", "REPORT"]
    assert running.control("GET", f"functions/function/log?after={second['after']}")[1]["lines"] == []
    assert len(running.control("GET", "functions/function/log?lines=2")[1]["lines"]) == 2


def test_a_time_limit_and_a_reservation_change_at_once_in_the_same_process(start: Start) -> None:
    running = start(timeout_s=10)
    pid = running.ask({"do": "pid"})
    running.configure(reserved_concurrency=0)
    with pytest.raises(running.client.exceptions.TooManyRequestsException):
        running.call()
    running.configure(reserved_concurrency=None, timeout_s=0.3)
    assert running.ask({"do": "pid"}) == pid
    assert running.call({"do": "sleep", "seconds": 5})["Payload"]["errorType"] == "Sandbox.Timedout"
    assert running.control("GET", "functions/function/configuration")[1]["timeout_s"] == 0.3


def test_raising_a_reservation_lets_waiting_events_go(start: Start) -> None:
    running = start(timeout_s=20, reserved_concurrency=1)
    running.send({"do": "sleep", "seconds": 3})
    eventually(running.seen)
    running.send({"waits": True})
    assert running.stats()["queued"] == 1
    running.configure(reserved_concurrency=2)
    eventually(lambda: {"waits": True} in running.events(), seconds=2.5)


def test_a_new_package_or_new_variables_are_used_by_the_next_invocation(
    start: Start, tmp_path: Path, state: Path
) -> None:
    running = start(function(write_package(tmp_path / "old", "def handle(*_): return 'old'\n"), state))
    assert running.ask() == "old"
    reading = "import os\ndef handle(*_): return os.environ['WHO']\n"
    package = str(write_package(tmp_path / "new", reading))
    running.configure(package=package, environment={"WHO": "new"})
    assert running.ask() == "new"
    running.configure(environment={"WHO": "newer"})
    assert running.ask() == "newer"
    eventually(lambda: len(running.pids()) == 1)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"timeout_s": -1}, "timeout_s"),
        ({"timeout": 3}, "timeout"),
        ({"name": "other"}, "name"),
        ({"package": "/not/there"}, "/not/there"),
        ({"reserved_concurrency": 11}, "account_concurrency"),
        ({"on_failure": "arn:aws:lambda:eu-west-1:000000000000:function:nobody"}, "nobody"),
        ([], "object"),
    ],
)
def test_a_wrong_change_is_refused_and_changes_nothing(start: Start, changes: object, where: str) -> None:
    running = start()
    before = running.control("GET", "functions/function/configuration")
    status, answer = running.control("PATCH", "functions/function/configuration", changes)
    assert status == 400
    assert where in answer["error"]
    assert "\n" not in answer["error"]
    assert running.control("GET", "functions/function/configuration") == before


def test_what_does_not_exist_is_refused_with_one_line(start: Start) -> None:
    running = start()
    assert running.control("GET", "functions/other/log") == (
        400,
        {"error": "there is no function other; name one of function"},
    )
    assert running.control("GET", "functions/function/log?lines=many")[0] == 400
    status, answer = running.control("POST", "functions/function/faults", {"kind": "explode"})
    assert status == 400
    assert "explode" in answer["error"]


def test_others_add_routes_of_their_own(start: Start) -> None:
    def console(application: web.Application, service: "LambdaService") -> None:
        async def page(request: web.Request) -> web.Response:
            return web.json_response(list(service.queues))

        application.add_routes([web.get("/_pgevents/console", page)])

    running = start(service={"extensions": [console]})
    assert running.control("GET", "console") == (200, ["function"])
