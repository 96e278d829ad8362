"""A function's log, as CloudWatch shows it."""

import os
import re
from pathlib import Path

import pytest

from local.lambda_service import logs
from tests.local.lambda_service.conftest import Start
from tests.local.lambda_service.running import eventually, function, write_package

REPORT = (
    r"REPORT RequestId: (?P<id>[0-9a-f-]{36})\tDuration: (?P<duration>[\d.]+) ms"
    r"\tBilled Duration: (?P<billed>\d+) ms\tMemory Size: 256 MB\tMax Memory Used: (?P<used>\d+) MB"
    r"(\tInit Duration: (?P<init>[\d.]+) ms)?"
)


def test_the_log_shows_start_output_end_and_report(start: Start) -> None:
    running = start(memory_mb=256)
    ids = [running.call({"do": "print", "text": "hello"})["ResponseMetadata"]["RequestId"] for _ in range(2)]
    lines = running.log().splitlines()
    assert re.fullmatch(r"INIT_START Runtime Version: python:3\.\d+\.v\d+", lines.pop(0))
    for number, request_id in enumerate(ids):
        begun, printed, ended, report = lines[4 * number : 4 * number + 4]
        assert (begun, printed) == (f"START RequestId: {request_id} Version: $LATEST", "hello")
        assert ended == f"END RequestId: {request_id}"
        figures = re.fullmatch(REPORT, report)
        assert figures is not None, report
        assert figures["id"] == request_id
        assert 5 < int(figures["used"]) < 200
        assert (figures["init"] is not None) == (number == 0)
        total = float(figures["duration"]) + float(figures["init"] or 0)
        assert total <= int(figures["billed"]) < total + 1.1


def test_a_traceback_is_logged_line_by_line(start: Start) -> None:
    running = start()
    running.call({"do": "fail"})
    lines = running.log().splitlines()
    at = lines.index("[ERROR] ValueError: the function fails")
    assert lines[at + 1] == "Traceback (most recent call last):"
    assert lines[at + 2].startswith('  File "')
    assert any("    raise ValueError" in line for line in lines[at + 3 : at + 7])


def test_logging_and_standard_error_reach_the_log(start: Start, tmp_path: Path, state: Path) -> None:
    speaking = (
        "import logging, sys\n"
        "def handle(event, context):\n"
        "    logging.warning('take care')\n"
        "    print('aside', file=sys.stderr)\n"
        "    sys.stdout.write('no end of line')\n"
    )
    running = start(function(write_package(tmp_path / "speaking", speaking), state))
    request_id = running.call()["ResponseMetadata"]["RequestId"]
    log = running.log()
    assert re.search(rf"^\[WARNING\]\t[\d:.TZ-]+\t{request_id}\ttake care$", log, re.MULTILINE)
    assert "\naside\n" in log
    running.stop()
    assert "no end of line\n" in running.log()


def test_two_environments_never_share_a_line(start: Start) -> None:
    running = start(timeout_s=10)
    for _ in range(40):
        running.send({"do": "print", "text": "=" * 5_000})
    eventually(lambda: running.counts()["successes"] == 40)
    printed = [line for line in running.log().splitlines() if "=" in line]
    assert [len(line) for line in printed] == [5_000] * 40


@pytest.fixture
def log(tmp_path: Path) -> logs.FunctionLog:
    return logs.FunctionLog(tmp_path / "logs" / "function.log")


def test_a_large_file_is_put_aside(
    log: logs.FunctionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MAX_FILE_BYTES", 1_000)
    for number in range(100):
        log.write(f"line {number:03} " + "." * 40)
        log.flush()
    log.close()
    now = (tmp_path / "logs" / "function.log").read_text()
    before = (tmp_path / "logs" / "function.log.1").read_text()
    assert now.splitlines()[-1:] in ([], [f"line 099 {'.' * 40}"])
    assert 1_000 <= len(before) < 1_100
    assert (before + now).splitlines()[-1].startswith("line 099")


def test_the_tail_in_memory_is_bounded(log: logs.FunctionLog) -> None:
    for number in range(logs.TAIL_LINES + 10):
        log.write(str(number))
    log.close()
    assert len(log.tail(10**6)) == logs.TAIL_LINES
    assert [line.text for line in log.tail(2)] == ["2008", "2009"]
    assert [line.number for line in log.tail(5, after=2008)] == [2009, 2010]
    assert log.tail(0) == []


def test_output_without_an_end_of_line_does_not_pile_up(log: logs.FunctionLog) -> None:
    output = logs.OutputPipe(log)
    for _ in range(40):
        os.write(output.write_end, b"q" * 60_000)
        assert output.drain()
    os.close(output.write_end)
    assert not output.drain()
    output.close()
    log.close()
    written = [len(line.text) for line in log.tail()]
    assert sum(written) == 40 * 60_000
    assert max(written) < 2 * logs.MAX_LINE_BYTES
