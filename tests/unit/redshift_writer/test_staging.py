"""Changes as rows of literals, cut where statements and messages end."""

import pytest

from pgevents.batch import Change, Column, TableChanges, Values
from pgevents.config import Policies
from pgevents.refusals import RefusedChanges
from redshift_writer import staging
from redshift_writer.literals import Quoting
from redshift_writer.shapes import Shape
from redshift_writer.staging import Staged, messages, stage
from redshift_writer.types import for_postgres

COLUMNS = (Column("Id", "bigint"), Column("name", "text"), Column("at", "date"))


def table(changes: list[Change], mode: str = "mirror", key: tuple[str, ...] = ("Id",)) -> TableChanges:
    return TableChanges("account", mode, ("warehouse",), key, COLUMNS, changes)  # type: ignore[arg-type]


def staged(changes: list[Change], mode: str = "mirror", key: tuple[str, ...] = ("Id",)) -> Staged:
    shape = Shape(
        "account__versions",
        "account_history",
        {c.name.lower(): for_postgres(c.type) for c in COLUMNS},
        "both",
    )
    return stage(0, table(changes, mode, key), shape, Policies(), Quoting(backslash_escapes=True))


def insert(version: int, *values: str | None) -> Change:
    return Change("INSERT", version, values)


def delete(version: int, key: str) -> Change:
    return Change("DELETE", version, (key, None, None))


def rows(found: Staged) -> bytes:
    return b" ".join(found.statements[1:])


def test_mirror_stages_the_newest_version_of_each_key() -> None:
    found = staged(
        [insert(1, "1", "a", None), insert(2, "2", "b", None), insert(3, "1", "c", None), delete(4, "2")]
    )
    assert rows(found).endswith(b"values (1,'c',null,3,false,true),(2,null,null,4,true,true)")
    assert (found.rows, found.newest, found.deletions, found.first_version) == (2, 2, 1, 3)


def test_history_stages_every_version_and_marks_the_newest() -> None:
    found = staged([insert(1, "1", "a", None), insert(3, "1", "c", None)], mode="both")
    assert rows(found).endswith(b"values (1,'a',null,1,false,false),(1,'c',null,3,false,true)")
    assert (found.rows, found.newest, found.first_version) == (2, 1, 1)


def test_truncate_in_a_mirror_leaves_only_what_came_after() -> None:
    found = staged([insert(1, "1", "a", None), Change("DELETE", 5, None), insert(6, "2", "b", None)])
    assert rows(found).endswith(b"values (2,'b',null,6,false,true)")
    assert found.truncated == 5


def test_truncate_in_a_history_is_the_row_without_a_key() -> None:
    found = staged([insert(1, "1", "a", None), Change("DELETE", 5, None)], mode="both")
    assert rows(found).endswith(b"values (1,'a',null,1,false,false),(null,null,null,5,true,false)")
    assert (found.rows, found.newest) == (2, 0)


def test_truncate_alone_stages_nothing_in_a_mirror() -> None:
    found = staged([Change("DELETE", 5, None)])
    assert (found.statements, found.truncated) == ([], 5)


def test_staging_table_lies_where_the_target_lies() -> None:
    create = staged([insert(1, "1", "a", None)], key=("name", "Id")).statements[0].decode()
    assert create.endswith('diststyle key distkey ("name") sortkey ("name", "id")')
    assert '"at" date' in create


def test_every_change_that_cannot_go_is_named_with_table_column_key_and_version() -> None:
    changes = [insert(number, str(number), "ok", "2024-01-01") for number in range(1, 8)]
    changes += [
        insert(8, "8", "x" * 70_000, None),
        insert(9, "9", None, "infinity"),
        insert(10, None, "no key", None),
    ]
    with pytest.raises(RefusedChanges) as refused:
        staged(changes)
    named = [(one.target, one.column, one.key, one.version) for one in refused.value.refusals]
    assert named == [
        ("account", "name", {"Id": "8"}, 8),
        ("account", "at", {"Id": "9"}, 9),
        ("account", None, {"Id": None}, 10),
    ]
    assert str(refused.value).startswith("account (Id=8), column name: 70000 bytes")
    assert str(refused.value).endswith("(and 2 more)")


def test_text_that_is_not_unicode_is_named() -> None:
    with pytest.raises(RefusedChanges, match="column name: .* surrogates not allowed"):
        staged([insert(1, "1", "\ud800", None)])


def test_long_message_names_the_first_and_counts_the_rest() -> None:
    with pytest.raises(RefusedChanges, match=r"account \(Id=1\), column at: .* \(and 19 more\)") as refused:
        staged([insert(number, str(number), None, "infinity") for number in range(1, 21)])
    assert len(refused.value.refusals) == 20


def test_inserts_are_cut_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "STATEMENT_BYTES", 1_000)
    found = staged([insert(number, str(number), "é" * 100, None) for number in range(1, 21)])
    inserts = found.statements[1:]
    assert len(inserts) > 4
    assert all(len(one) <= 1_000 for one in inserts)
    assert sum(one.count("é".encode() * 100) for one in inserts) == 20


def test_row_longer_than_a_statement_goes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "STATEMENT_BYTES", 300)
    found = staged([insert(1, "1", "x" * 1_000, None), insert(2, "2", "y", None), insert(3, "3", "z", None)])
    assert [one.count(b",true)") for one in found.statements[1:]] == [1, 2]


def test_row_longer_than_a_message_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "ROW_BYTES", 500)
    with pytest.raises(RefusedChanges, match="more than a statement may have"):
        staged([insert(1, "1", "x" * 1_000, None)])


def test_messages_hold_whole_statements_up_to_their_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "MESSAGE_BYTES", 10)
    statements = [b"12345", b"123", b"1234567890", b"1"]
    assert list(messages(statements)) == [[b"12345", b"123"][:1], [b"123"], [b"1234567890"], [b"1"]]
    assert list(messages([])) == []


def test_key_of_several_columns_keeps_its_order() -> None:
    values: list[Values] = [("1", "a", None), ("1", "b", None), ("1", "a", "2024-01-01")]
    found = staged([insert(number, *row) for number, row in enumerate(values, 1)], key=("name", "Id"))
    assert (found.rows, found.newest) == (2, 2)
