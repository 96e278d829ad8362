"""A program's log: bounded, however long the program runs and whatever it says."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.programs import Program
from local.programs import program as program_module

TALKER = """
import sys
for number in range(10 ** 9):
    print(f"line {number:09}", flush=True)
"""


@pytest.fixture
def talker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    monkeypatch.setattr(program_module, "MAX_LOG_BYTES", 20_000)
    talker = Program("talker", [sys.executable, "-c", TALKER], tmp_path / "talker.log", grace=1.0)
    yield talker
    talker.kill()


def test_log_that_has_grown_begins_anew_and_the_program_goes_on_in_it(talker: Program) -> None:
    talker.launch()
    before = talker.log.with_name("talker.log.1")
    for _ in range(3):
        until = time.monotonic() + 10
        while talker.log.stat().st_size <= 20_000 and time.monotonic() < until:
            time.sleep(0.01)
        talker.bound_log()
        assert before.stat().st_size >= 20_000
    talker.kill()
    written = talker.log.read_bytes()
    assert b"\0" not in written  # as a program that does not append would leave
    kept = before.read_bytes().splitlines()[1:-1]
    assert kept == sorted(kept)
    assert all(len(line) == 14 for line in kept)


def test_last_words_are_found_after_the_log_has_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program_module, "MAX_LOG_BYTES", 100)
    script = "import time; print('x' * 500, flush=True); time.sleep(0.5); print('goodbye', flush=True)"
    speaker = Program("speaker", [sys.executable, "-c", script], tmp_path / "speaker.log")
    speaker.launch()
    while not speaker.log.stat().st_size:
        time.sleep(0.01)
    speaker.bound_log()
    assert speaker.wait(10)
    assert speaker.last_words() == "goodbye"


def test_small_log_is_left_alone(tmp_path: Path) -> None:
    quiet = Program("quiet", [sys.executable, "-c", "print('hello')"], tmp_path / "quiet.log")
    quiet.bound_log()
    quiet.launch()
    assert quiet.wait(10)
    quiet.bound_log()
    assert quiet.last_words() == "hello"
    assert list(tmp_path.iterdir()) == [tmp_path / "quiet.log"]
