"""Tables are made, widened and left alone as the changes need it."""

import pytest

from pgevents.batch import Change, Column, Mode, TableChanges
from pgevents.errors import TerminalError
from tests.integration.redshift_writer.changes import account, insert
from tests.integration.redshift_writer.conftest import Apply, Target


def table(
    *columns: tuple[str, str], row: tuple[str | None, ...], version: int = 1, mode: Mode = "mirror"
) -> TableChanges:
    key = columns[0][0]
    named = tuple(Column(*column) for column in columns)
    return TableChanges("account", mode, ("w",), (key,), named, [Change("INSERT", version, row)])


def relations(target: Target) -> list[tuple[object, ...]]:
    return target.look(
        "select relname, relkind::text from pg_class where relnamespace = '{s}'::regnamespace "
        "and relkind in ('r', 'v') order by relname"
    )


def test_first_batch_makes_everything(target: Target, apply: Apply) -> None:
    apply(account(insert(1, 1), mode="both"))
    assert relations(target) == [
        ("account", "v"),
        ("account__versions", "r"),
        ("account_history", "r"),
        ("pgevents_applied_batch", "r"),
        ("pgevents_truncation", "r"),
    ]


@pytest.mark.parametrize(
    ("mode", "missing"), [("mirror", "account_history"), ("history", "account__versions")]
)
def test_mode_makes_only_what_it_needs(target: Target, apply: Apply, mode: Mode, missing: str) -> None:
    apply(account(insert(1, 1), mode=mode))
    assert missing not in dict(relations(target))  # type: ignore[arg-type]


def test_mode_that_changes_makes_the_rest(target: Target, apply: Apply) -> None:
    apply(account(insert(1, 1, "a")))
    apply(account(insert(2, 1, "b"), mode="both"))
    assert target.look("select name from {s}.account_history") == [("b",)]


def test_new_columns_are_added_and_seen(target: Target, apply: Apply) -> None:
    apply(table(("id", "bigint"), row=("1",), mode="both"))
    apply(
        table(
            ("id", "bigint"),
            ("name", "text"),
            ("doc", "jsonb"),
            row=("2", "b", "[1]"),
            version=2,
            mode="both",
        )
    )
    assert target.read("select id, name, json_serialize(doc) from {s}.account order by id") == [
        (1, None, None),
        (2, "b", "[1]"),
    ]
    assert target.read("select name from {s}.account_history order by _version") == [(None,), ("b",)]


def test_batch_of_the_layout_before_still_goes(target: Target, apply: Apply) -> None:
    apply(table(("id", "bigint"), ("name", "text"), row=("2", "b"), version=2))
    apply(table(("id", "bigint"), row=("1",), version=1))
    apply(table(("name", "text"), ("id", "bigint"), row=("c", "3"), version=3))
    assert target.read("select id, name from {s}.account order by id") == [(1, None), (2, "b"), (3, "c")]


def test_column_that_another_writer_added_is_found(target: Target, apply: Apply) -> None:
    apply(table(("id", "bigint"), row=("1",)))
    other = target.writer()
    wide = table(("id", "bigint"), ("name", "text"), row=("2", "b"), version=2)
    other.apply(target.batch(wide))
    apply(table(("id", "bigint"), ("name", "text"), row=("3", "c"), version=3))
    assert target.read("select name from {s}.account order by id") == [(None,), ("b",), ("c",)]


def test_tables_that_were_dropped_are_made_again(target: Target, apply: Apply) -> None:
    apply(account(insert(1, 1, "a")))
    target.execute("drop table {s}.account__versions cascade")
    assert apply(account(insert(2, 1, "b"))).first
    target.execute("drop schema {s} cascade")
    assert apply(account(insert(3, 1, "c"))).first
    assert target.read("select name from {s}.account") == [("c",)]


def test_view_that_others_depend_on_stays_and_the_data_goes_on(
    target: Target, apply: Apply, capsys: pytest.CaptureFixture[str]
) -> None:
    apply(table(("id", "bigint"), row=("1",)))
    target.execute("create view {s}.report as select id from {s}.account")
    applied = apply(table(("id", "bigint"), ("name", "text"), row=("2", "b"), version=2))
    assert applied.first
    assert target.read("select id from {s}.report order by id") == [(1,), (2,)]
    assert target.look("select name from {s}.account__versions order by id") == [(None,), ("b",)]
    assert '"view_not_replaced"' in capsys.readouterr().out
    assert apply(table(("id", "bigint"), ("name", "text"), row=("3", "c"), version=3)).attempts == 1


def test_names_of_any_kind(target: Target, apply: Apply) -> None:
    names = [
        "Id",
        'sa"y',
        "two words",
        "select",
        "ünïcode",
        "semi;colon",
        "{braces}",
        "100%",
        "o'clock",
        "tab\t",
    ]
    columns = tuple(Column(name, "bigint" if name == "Id" else "text") for name in names)
    row = tuple("1" if name == "Id" else name for name in names)
    strange = TableChanges('Tab"le; {x}', "both", ("w",), ("Id",), columns, [Change("INSERT", 1, row)])
    apply(strange)
    found = target.read('select * from {s}."tab""le; {x}"'.replace("{x}", "{x}"))
    assert found == [(1, *names[1:])]
    again = TableChanges(
        'Tab"le; {x}', "both", ("w",), ("Id",), columns, [Change("DELETE", 2, ("1",) + (None,) * 9)]
    )
    apply(again)
    assert target.read('select * from {s}."tab""le; {x}"') == []


@pytest.mark.parametrize(
    ("columns", "row", "message"),
    [
        ([("id", "bigint"), ("ID", "text")], ("1", "x"), "one name in Redshift"),
        ([("id", "bigint"), ("_version", "text")], ("1", "x"), "needs for itself"),
        ([("id", "bigint"), ("x" * 128, "text")], ("1", "x"), "cannot be a name"),
    ],
)
def test_columns_that_cannot_be_are_named(
    target: Target, apply: Apply, columns: list[tuple[str, str]], row: tuple[str, ...], message: str
) -> None:
    with pytest.raises(TerminalError, match=message):
        apply(table(*columns, row=row))


def test_table_that_is_not_ours_is_left_alone(target: Target, apply: Apply) -> None:
    target.execute("create schema {s}")
    target.execute("create table {s}.account (x int)")
    with pytest.raises(TerminalError, match="account is a table that the pipeline did not make"):
        apply(account(insert(1, 1)))
    assert target.look("select count(*) from {s}.account") == [(0,)]


def test_type_that_changed_beyond_what_the_column_holds_is_named(target: Target, apply: Apply) -> None:
    apply(table(("id", "bigint"), ("n", "integer"), row=("1", "1")))
    with pytest.raises(TerminalError, match=r"account\.n is text at the source and integer in Redshift"):
        apply(table(("id", "bigint"), ("n", "text"), row=("2", "x"), version=2))
    assert apply(table(("id", "bigint"), ("n", "bigint"), row=("3", "3"), version=3)).first
    with pytest.raises(TerminalError, match=r"account \(id=4\), column n: 3000000000 is not between"):
        apply(table(("id", "bigint"), ("n", "bigint"), row=("4", "3000000000"), version=4))


def test_view_keeps_its_columns_when_the_source_loses_one(target: Target, apply: Apply) -> None:
    apply(table(("id", "bigint"), ("gone", "text"), row=("1", "a")))
    apply(table(("id", "bigint"), row=("1",), version=2))
    assert target.read("select id, gone from {s}.account") == [(1, None)]
