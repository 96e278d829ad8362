"""The registry behind `@on`: one function an event, and clear words when a transform cannot be used."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import pytest

from pgevents import ChangeEvent, EventType, Record, on, transforms
from pgevents.config import load
from pgevents.errors import InputError

Package = Callable[..., str]


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    with transforms.isolated():
        yield


@pytest.fixture
def table() -> str:
    return "accounts.public.account"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """Writes a package of transforms, one module a keyword, and gives its name."""
    name = f"transforms_{uuid4().hex}"
    monkeypatch.syspath_prepend(tmp_path)

    def write(**modules: str) -> str:
        (tmp_path / name).mkdir()
        for module, text in {"__init__": "", **modules}.items():
            (tmp_path / name / f"{module}.py").write_text(text)
        return name

    yield write
    forget(name)


def forget(package: str) -> dict[str, ModuleType]:
    """Takes a package and its modules out of those that are imported."""
    names = [name for name in sys.modules if name == package or name.startswith(f"{package}.")]
    return {name: sys.modules.pop(name) for name in names}


def keep(event: ChangeEvent) -> Record:
    return Record(event.payload)


def other(event: ChangeEvent) -> Record:
    return Record(event.payload)


def taken_types(table: str) -> set[str]:
    return {str(kind) for kind in EventType if transforms.transform_for(table, kind) is not None}


def test_function_is_given_back_as_it_was(table: str) -> None:
    assert on(table)(keep) is keep


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        ((), {"INSERT", "UPDATE", "SNAPSHOT"}),
        (("INSERT",), {"INSERT", "SNAPSHOT"}),
        (("UPDATE",), {"UPDATE"}),
        (("DELETE", "TRUNCATE"), {"DELETE", "TRUNCATE"}),
        (("SNAPSHOT",), {"SNAPSHOT"}),
        ((EventType.INSERT, EventType.DELETE), {"INSERT", "SNAPSHOT", "DELETE"}),
    ],
)
def test_whoever_takes_inserts_takes_snapshots(table: str, asked: tuple[str, ...], taken: set[str]) -> None:
    on(table, *asked)(keep)
    assert taken_types(table) == taken
    assert {source for source, _ in transforms.registered()} == {table}


def test_table_without_a_transform_has_none(table: str) -> None:
    on(table)(keep)
    assert taken_types("accounts.public.login") == set()


def test_second_transform_of_an_event_is_refused(table: str) -> None:
    on(table, "INSERT", "UPDATE")(keep)
    with pytest.raises(InputError) as caught:
        on(table, "UPDATE", "DELETE")(other)
    line = {function: function.__code__.co_firstlineno for function in (keep, other)}
    assert str(caught.value) == (
        f"{__name__}.other (line {line[other]}): UPDATE of accounts.public.account already has a transform, "
        f"{__name__}.keep (line {line[keep]}); remove one of the two"
    )


def test_same_function_may_be_registered_again(table: str) -> None:
    on(table)(keep)
    on(table)(keep)
    assert transforms.transform_for(table, EventType.INSERT) is keep


def test_two_functions_of_one_name_are_still_two(package: Package, table: str) -> None:
    function = f"@on({table!r})\ndef account(event):\n    return None\n"
    name = package(accounts=f"from pgevents import on\n{function}{function}")
    with pytest.raises(InputError) as caught:
        transforms.load(name, {table})
    path = Path(sys.path[0]) / name / "accounts.py"
    assert str(caught.value) == (
        f"transform {name}.accounts does not import: {path}:5: {name}.accounts.account (line 5): INSERT of "
        f"{table} "
        f"already has a transform, {name}.accounts.account (line 2); remove one of the two"
    )


def test_callable_that_is_no_function_may_be_a_transform(table: str) -> None:
    class Keeper:
        def __call__(self, event: ChangeEvent) -> Record:
            return Record(event.payload)

    keeper = Keeper()
    on(table)(keeper)
    assert transforms.transform_for(table, EventType.UPDATE) is keeper


def test_unknown_event_type_is_refused_with_a_suggestion(table: str) -> None:
    with pytest.raises(InputError) as caught:
        on(table, "INSERT", "UPDATES")
    assert str(caught.value) == (
        "@on('accounts.public.account'): 'UPDATES' is not an event type; expected one of DELETE, INSERT, "
        "SNAPSHOT, "
        "TRUNCATE, UPDATE; did you mean 'UPDATE'?"
    )
    assert taken_types(table) == set()


def test_every_module_of_the_package_is_imported(package: Package) -> None:
    line = "from pgevents import on\n@on('a.public.{}')\ndef transform(event):\n    return None\n"
    name = package(one=line.format("one"), other=line.format("other"), plain="RATE = 3\n")
    transforms.load(name, {"a.public.one", "a.public.other"})
    assert {source for source, _ in transforms.registered()} == {"a.public.one", "a.public.other"}


def test_transform_of_a_table_that_no_route_takes_is_refused_with_a_suggestion(package: Package) -> None:
    text = "from pgevents import on\n@on('a.public.acount')\ndef account(event):\n    return None\n"
    name = package(accounts=text)
    with pytest.raises(InputError) as caught:
        transforms.load(name, {"a.public.account", "a.public.login"})
    assert str(caught.value) == (
        f"{name}.accounts.account (line 2): @on: 'a.public.acount' is not a routed table; expected one of "
        "a.public.account, a.public.login; did you mean 'a.public.account'?"
    )


BROKEN = {
    "a module that does not exist": (
        "import re\nimport surely_missing\n",
        2,
        "ModuleNotFoundError: No module named",
    ),
    "no Python": ("def f(:\n", 1, "SyntaxError: invalid syntax"),
    "a name that is not defined": ("\n\nx = 1\nRATE = rate\n", 4, "NameError: name 'rate' is not defined"),
    "an error deep inside a library": (
        "import re\n\nPATTERN = re.compile('(')\n",
        3,
        "error: missing ), unterm",
    ),
    "a wrong event type": (
        "from pgevents import on\non('a.b.c', 'X')\n",
        2,
        "@on('a.b.c'): 'X' is not an event type",
    ),
    "a message of two lines": ("raise ValueError('one\\ntwo')\n", 1, "ValueError: one two"),
}


@pytest.mark.parametrize(("text", "line", "problem"), BROKEN.values(), ids=BROKEN.keys())
def test_module_that_does_not_import_is_named_with_file_and_line(
    package: Package, text: str, line: int, problem: str
) -> None:
    name = package(accounts=text)
    path = Path(sys.path[0]) / name / "accounts.py"
    with pytest.raises(InputError) as caught:
        transforms.load(name, set())
    expected = re.escape(f"transform {name}.accounts does not import: {path}:{line}: {problem}")
    assert re.match(expected, str(caught.value).replace("PatternError", "error"))
    assert len(str(caught.value).splitlines()) == 1


def test_package_that_does_not_import_is_named_with_file_and_line(package: Package) -> None:
    name = package(__init__="import surely_missing\n")
    path = Path(sys.path[0]) / name / "__init__.py"
    with pytest.raises(
        InputError, match=re.escape(f"transform {name} does not import: {path}:1: ModuleNotFound")
    ):
        transforms.load(name, set())


def test_transforms_of_this_repository_load() -> None:
    routed = load(Path(__file__).parents[3] / "pipeline.toml").routed_tables()
    imported = forget("transform.transforms")
    try:
        transforms.load("transform.transforms", routed)
        assert {
            "accounts.public.account",
            "certificates.public.certificate",
        } <= {source for source, _ in transforms.registered()}
    finally:  # what was imported here is in this test's registry only
        forget("transform.transforms")
        sys.modules.update(imported)


def test_what_is_registered_in_isolation_goes_with_it(table: str) -> None:
    on(table)(keep)
    with transforms.isolated():
        assert transforms.registered() == []
        on(table)(other)
    assert transforms.transform_for(table, EventType.INSERT) is keep
