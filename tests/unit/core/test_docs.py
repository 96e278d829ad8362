"""The documents say what the code does: every setting is explained, every example runs."""

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args, get_origin

import msgspec
import pytest

from pgevents import transforms
from pgevents.batch import Change
from pgevents.config import (
    COLUMN_TYPES,
    Drain,
    Pipeline,
    Policies,
    PostgresSink,
    RedshiftSink,
    Route,
    S3Sink,
    Source,
    Table,
    load,
)
from pgevents.config import checks as config_checks
from pgevents.errors import InputError
from transform.routing import Routed, route_batch
from transform.source.outbox import LedgerBatch, OutboxRow, TableRows

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = (DOCS / "reference" / "pipeline.md").read_text(encoding="utf-8")
HOW_TO = (DOCS / "how-to" / "write-a-transform.md").read_text(encoding="utf-8")
SECTIONS = {
    Source: "## [sources.NAME]",
    Table: "## [[sources.NAME.tables]]",
    PostgresSink: 'With `type = "postgres"`',
    S3Sink: 'With `type = "s3"`',
    RedshiftSink: 'With `type = "redshift"`',
    Route: "## [[routes]]",
    Policies: "## [policies]",
    Drain: "## [drain]",
}
SETTING = re.compile(r"^\| `(?P<name>\w+)` \| (?P<type>.+?) \| (?P<default>.+?) \| (?P<meaning>.+) \|$", re.M)


def blocks(document: str, language: str) -> list[str]:
    """The code blocks of one language, in order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", document, re.M | re.S)
    return [text for its_language, text in found if its_language == language]


def described(section: type[msgspec.Struct]) -> dict[str, re.Match[str]]:
    """The rows of a section's first table of settings, by setting."""
    text = REFERENCE.split(f"\n{SECTIONS[section]}", 1)[1]
    table = text[text.index("| Setting |") :].split("\n\n", 1)[0]
    return {row["name"]: row for row in SETTING.finditer(table)}


def as_toml(default: object) -> str:
    match default:
        case bool():
            return str(default).lower()
        case str():
            return f'"{default}"'
        case tuple():
            return "[]"
        case dict():
            return "{}"
    return str(default)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_setting_is_explained_with_its_default(section: type[msgspec.Struct]) -> None:
    rows = described(section)
    assert set(rows) == set(section.__struct_fields__)
    for field in msgspec.structs.fields(section):
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        expected = "required" if field.required else f"`{as_toml(default)}`"
        assert rows[field.name]["default"] == expected, field.name


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_choice_of_a_setting_is_named(section: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(section):
        if get_origin(field.type) is Literal:
            named = re.findall(r'`"(\w+)"`', described(section)[field.name]["type"])
            assert sorted(named) == sorted(get_args(field.type)), field.name


def test_bounds_of_a_number_are_named() -> None:
    assert described(Drain)["batch_events"]["type"] == "integer from 1 to 100000"
    for field in msgspec.structs.fields(Drain):
        low, high = map(int, re.findall(r"\d+", described(Drain)[field.name]["type"]))
        for number, fits in ((low, True), (high, True), (low - 1, False), (high + 1, False)):
            assert accepts(Drain, {field.name: number}) is fits


def accepts(section: type[msgspec.Struct], values: dict[str, object]) -> bool:
    try:
        msgspec.convert(values, section)
    except msgspec.ValidationError:
        return False
    return True


def test_every_section_of_the_file_is_in_the_reference() -> None:
    for name in Pipeline.__struct_fields__:
        assert re.search(rf"^## \[+{name}\b", REFERENCE, re.M), name


def test_every_column_type_and_every_name_that_is_kept_is_listed() -> None:
    types = REFERENCE.split("Types of `columns`:")[1].split("\n- ")[0]
    assert set(re.findall(r"`(\w+)`", types)) == COLUMN_TYPES
    kept = REFERENCE.split("for columns of their own:")[1].split("\n- ")[0]
    assert set(re.findall(r"`(\w+)`", kept)) == config_checks.RESERVED_COLUMNS


def test_example_of_the_reference_is_a_valid_pipeline(tmp_path: Path) -> None:
    (example,) = blocks(REFERENCE, "toml")
    (tmp_path / "pipeline.toml").write_text(example)
    assert load(tmp_path / "pipeline.toml").drain.batch_events == 5_000


def test_message_of_the_reference_is_what_a_slip_in_its_example_is_answered_with(tmp_path: Path) -> None:
    (example,) = blocks(REFERENCE, "toml")
    (message,) = blocks(REFERENCE, "")
    file = tmp_path / "pipeline.toml"
    file.write_text(example.replace('"replica", "archive",', '"replica", "archiv",'))
    with pytest.raises(InputError) as caught:
        load(file)
    assert str(caught.value) == message.strip().replace("pipeline.toml", str(file), 1)


@pytest.fixture
def payments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The how-to followed: its pipeline.toml, its transforms, and its test of them."""
    (declared,) = blocks(HOW_TO, "toml")
    transform, test, deletion = blocks(HOW_TO, "python")
    (tmp_path / "pipeline.toml").write_text(
        '[sinks.replica]\ntype = "postgres"\n[sinks.warehouse]\ntype = "redshift"\n'
        '[[sources.accounts.tables]]\ntable = "public.customer"\n'
        '[[routes]]\ntable = "accounts.public.customer"\nsinks = ["replica"]\n' + declared
    )
    (tmp_path / "followed").mkdir()
    files = {"__init__": "", "payments": transform, "customers": deletion}
    files["check_payments"] = test.replace("transform.transforms.payments", "followed.payments")
    for name, text in files.items():
        (tmp_path / "followed" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with transforms.isolated():
        yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "followed"]:
        del sys.modules[name]


def test_test_of_the_how_to_passes(payments: Path) -> None:
    import importlib

    checks = vars(importlib.import_module("followed.check_payments"))
    tests = [check for name, check in checks.items() if name.startswith("test_")]
    assert len(tests) == 2
    for check in tests:
        check()


def routed(folder: Path, table: str, columns: dict[str, str], *rows: OutboxRow) -> Routed:
    pipeline = load(folder / "pipeline.toml")
    transforms.load("followed", pipeline.routed_tables())
    captured = TableRows(table, (next(iter(columns)),), tuple(columns), tuple(columns.values()), list(rows))
    batch = LedgerBatch(1, 1, len(rows), datetime(2026, 11, 22, tzinfo=UTC))
    return route_batch(pipeline, "accounts", batch, [captured], {})


def row(op: str, seq: int, before: tuple[str | None, ...], after: tuple[str | None, ...]) -> OutboxRow:
    return OutboxRow(op, seq, "1", "2026-11-22 00:00:00+00", before, after)


def test_payments_of_the_how_to_arrive_as_it_says(payments: Path) -> None:
    columns = {"payment_id": "bigint", "amount_cents": "bigint", "is_test": "boolean"}
    paid, test, nothing = ("7", "1999", "f"), ("7", "1999", "t"), (None, None, None)
    rows = [row("I", 1, nothing, paid), row("I", 2, nothing, ("8", "1", "t")), row("U", 3, paid, test)]
    result = routed(payments, "public.payment", columns, *rows)
    assert (result.dead, result.dropped) == ([], 1)
    (target,) = result.batch.tables
    assert [column.name for column in target.columns] == ["payment_id", "is_test", "amount_eur"]
    version = (1 << 48) + 1
    assert target.changes == [
        Change("INSERT", version, ("7", "f", "19.99")),
        Change("DELETE", version + 2, ("7", None, None)),
    ]


def test_deleted_customer_of_the_how_to_stays_closed(payments: Path) -> None:
    columns = {"customer_id": "bigint", "is_closed": "boolean"}
    result = routed(payments, "public.customer", columns, row("D", 1, ("3", "f"), (None, None)))
    assert [change.values for table in result.batch.tables for change in table.changes] == [("3", "t")]
