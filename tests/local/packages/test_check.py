"""Whether a handler imports: one line with the file, the line and the error, or nothing."""

from pathlib import Path

import pytest

from local.packages import build, check_import, runtime
from pgevents.errors import InputError
from tests.local.packages.conftest import PROJECT, write

HANDLER = "transform.handler.handle"
ACCOUNTS = "lambdas/transform/transforms/accounts.py"


def message_of(project: Path, tmp_path: Path, handler: str = HANDLER, timeout_s: float = 10.0) -> str:
    """The one line with which the project's transform is refused."""
    package = build("transform", project, tmp_path / "packages", cache=tmp_path / "cache")
    with pytest.raises(InputError) as caught:
        check_import(package, runtime(PROJECT), handler, timeout_s=timeout_s)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_handler_that_imports_is_accepted(project: Path, tmp_path: Path) -> None:
    package = build("transform", project, tmp_path / "packages", cache=tmp_path / "cache")
    check_import(package, runtime(PROJECT), HANDLER)


def test_environment_variables_reach_the_import(project: Path, tmp_path: Path) -> None:
    write(project / ACCOUNTS, "import os\nassert os.environ['PGEVENTS_BUCKET'] == 'b'\n")
    package = build("transform", project, tmp_path / "packages", cache=tmp_path / "cache")
    check_import(package, runtime(PROJECT), HANDLER, {"PGEVENTS_BUCKET": "b"})
    with pytest.raises(InputError, match=f"{ACCOUNTS}:2: KeyError: 'PGEVENTS_BUCKET'"):
        check_import(package, runtime(PROJECT), HANDLER)


@pytest.mark.parametrize(
    ("text", "line", "error"),
    [
        ("\n\ndef account(:\n", 3, "SyntaxError: invalid syntax"),
        ("import nowhere\n", 1, "ModuleNotFoundError: No module named 'nowhere'"),
        ("from pgevents.greeting import NOTHING\n", 1, "ImportError: cannot import name 'NOTHING'"),
        ("\nx = 1 / 0\n", 2, "ZeroDivisionError: division by zero"),
        ("import json\njson.loads('{')\n", 2, "JSONDecodeError: Expecting property name"),
        ("raise ValueError('two\\nlines')\n", 1, "ValueError: two lines"),
        ("import sys\nsys.exit('no')\n", 2, "SystemExit: no"),
    ],
)
def test_a_transform_that_does_not_import_is_named_with_its_line(
    project: Path, tmp_path: Path, text: str, line: int, error: str
) -> None:
    write(project / ACCOUNTS, text)
    assert message_of(project, tmp_path).startswith(f"{ACCOUNTS}:{line}: {error}")


def test_the_core_is_named_by_its_own_path(project: Path, tmp_path: Path) -> None:
    write(project / "lambdas/core/pgevents/greeting.py", "WORD = word\n")
    expected = "lambdas/core/pgevents/greeting.py:1: NameError: name 'word' is not defined"
    assert message_of(project, tmp_path) == expected


def test_an_input_error_says_itself_where_it_is(project: Path, tmp_path: Path) -> None:
    raising = "class InputError(Exception): ...\nraise InputError(f'{__file__}: is wrong; correct it')\n"
    write(project / ACCOUNTS, raising)
    assert message_of(project, tmp_path) == f"{HANDLER}: {ACCOUNTS}: is wrong; correct it"


def test_a_handler_that_is_missing_is_named(project: Path, tmp_path: Path) -> None:
    assert "AttributeError: module 'transform.handler' has no attribute 'other'" in message_of(
        project, tmp_path, "transform.handler.other"
    )
    missing = message_of(project, tmp_path, "transform.nowhere.handle")
    assert "ModuleNotFoundError: No module named 'transform.nowhere'" in missing


def test_an_import_that_ends_the_process_is_named(project: Path, tmp_path: Path) -> None:
    write(project / ACCOUNTS, "import os\nprint('last words', flush=True)\nos._exit(3)\n")
    message = message_of(project, tmp_path)
    assert message.startswith(f"{HANDLER}: the import ended the process with code 3: last words")


def test_an_import_that_does_not_end_is_named(project: Path, tmp_path: Path) -> None:
    write(project / ACCOUNTS, "import time\ntime.sleep(60)\n")
    assert "the import takes longer than 0.5 s" in message_of(project, tmp_path, timeout_s=0.5)


def test_a_dependency_of_the_virtual_environment_is_not_there(project: Path, tmp_path: Path) -> None:
    write(project / ACCOUNTS, "import aiohttp\n")
    assert "No module named 'aiohttp'" in message_of(project, tmp_path)
