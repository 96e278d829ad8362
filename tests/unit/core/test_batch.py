"""A batch travels unchanged, and comes to the newest change of each key."""

import base64
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgevents.batch import Batch, Change, Column, TableChanges, decode, encode, newest_by_key
from pgevents.errors import TerminalError

TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
COLUMNS = (Column("id", "bigint"), Column("name", "text"), Column("part", "integer"))


def table(
    changes: list[Change], target: str = "account", sinks: tuple[str, ...] = ("warehouse",)
) -> TableChanges:
    return TableChanges(target, "mirror", sinks, ("part", "id"), COLUMNS, changes)


def batch(*tables: TableChanges) -> Batch:
    return Batch("accounts", 7, 1, "2026-11-22T15:54:54.000001+00:00", list(tables))


def columnar(**changed: object) -> bytes:
    """An encoded batch of one change, with something else in its only table."""
    written = msgspec.json.decode(
        zlib.decompress(encode(batch(table([Change("INSERT", 1, ("1", "x", "0"))]))))
    )
    written["tables"][0] |= changed
    return zlib.compress(msgspec.json.encode(written))


VERSIONS = st.integers(1, 2**63 - 1)
CHANGES = st.builds(
    Change, st.sampled_from(["INSERT", "DELETE"]), VERSIONS, st.tuples(TEXTS, TEXTS, TEXTS)
) | st.builds(Change, st.just("DELETE"), VERSIONS, st.none())


@given(st.lists(CHANGES))
def test_batch_is_decoded_as_it_was_encoded(changes: list[Change]) -> None:
    original = batch(table(changes))
    assert decode(encode(original)) == original


@given(st.lists(CHANGES))
def test_equal_batches_have_equal_bytes(changes: list[Change]) -> None:
    assert encode(batch(table(changes))) == encode(batch(table(list(changes))))


@given(st.lists(CHANGES))
def test_batch_of_the_version_before_columns_is_still_read(changes: list[Change]) -> None:
    original = batch(table(changes), table([], "other"))
    assert decode(zlib.compress(msgspec.json.encode(original), 6)) == original


def test_batch_that_the_version_before_columns_wrote_is_still_read() -> None:
    written = (
        b'{"source":"accounts","batch_id":7,"epoch":1,"opened_at":"2026-11-22T15:54:54.000001+00:00","tables":['
        b'{"target":"account","mode":"mirror","sinks":["warehouse"],"key":["part","id"],"columns":['
        b'{"name":"id","type":"bigint"},{"name":"name","type":"text"},{"name":"part","type":"integer"}],"changes":['
        b'["INSERT",5,["1","ann",null]],["DELETE",6,["1",null,null]],["DELETE",7,null]]}]}'
    )
    changes = [
        Change("INSERT", 5, ("1", "ann", None)),
        Change("DELETE", 6, ("1", None, None)),
        Change("DELETE", 7, None),
    ]
    assert decode(zlib.compress(written)) == batch(table(changes))


def test_a_thousand_rows_take_a_sixth_of_the_room_that_their_events_take_as_json() -> None:
    names = ("id", "name", "part")
    rows = [(str(position), f"customer {position % 89}", str(position % 7)) for position in range(1_000)]
    events = [
        {
            "event_type": "INSERT",
            "source": "accounts.public.account",
            "payload": dict(zip(names, row, strict=True)),
        }
        for row in rows
    ]
    changes = [Change("INSERT", version, row) for version, row in enumerate(rows, 1)]
    assert len(base64.b64encode(encode(batch(table(changes))))) * 6 < len(msgspec.json.encode(events))


def test_null_and_empty_text_stay_apart() -> None:
    changes = decode(encode(batch(table([Change("INSERT", 1, ("1", "", None))])))).tables[0].changes
    assert changes[0].values == ("1", "", None)


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"no zlib",
        zlib.compress(b"no json"),
        zlib.compress(b"{}"),
        encode(batch())[:-3],
        zlib.compress(
            msgspec.json.encode({"source": "a", "batch_id": "7", "epoch": 1, "opened_at": "", "tables": []})
        ),
        zlib.compress(b'{"source": "\xff"}'),
        columnar(clauses="II"),
        columnar(clauses=""),
        columnar(clauses="X"),
        columnar(versions=[1, 1]),
        columnar(values=[["1"], [], ["0"]]),
        columnar(values=[["1"], [2], ["0"]]),
    ],
    ids=[
        "nothing",
        "no zlib",
        "no json",
        "no batch",
        "cut off",
        "wrong type",
        "no utf-8",
        "a row too few",
        "a row too many",
        "no clause",
        "a version too many",
        "a value too few",
        "no text",
    ],
)
def test_bytes_that_are_no_batch_can_never_be_read(encoded: bytes) -> None:
    with pytest.raises(TerminalError, match="^this is not an encoded batch: "):
        decode(encoded)


def test_part_for_a_sink_has_its_tables_only() -> None:
    one, other = table([], "one", ("replica", "archive")), table([], "other", ("archive",))
    assert batch(one, other).for_sink("replica").tables == [one]
    assert batch(one, other).for_sink("archive").tables == [one, other]
    assert batch(one, other).for_sink("nowhere").tables == []


def test_changes_are_counted_over_all_targets() -> None:
    change = Change("INSERT", 1, ("1", None, "1"))
    assert batch(table([change]), table([change, change], "other")).change_count() == 3


def test_key_has_the_key_s_order_and_not_the_columns() -> None:
    assert table([]).key_positions() == (2, 0)
    truncated, newest = newest_by_key(table([Change("INSERT", 5, ("1", "x", "9"))]))
    assert (truncated, list(newest)) == (0, [("9", "1")])


def test_only_the_newest_change_of_a_key_is_left() -> None:
    changes = [
        Change("INSERT", 1, ("1", "a", "0")),
        Change("INSERT", 2, ("2", "a", "0")),
        Change("DELETE", 3, ("1", None, "0")),
        Change("INSERT", 4, ("2", "b", "0")),
    ]
    assert newest_by_key(table(changes)) == (0, {("0", "1"): changes[2], ("0", "2"): changes[3]})


def test_a_truncation_takes_what_came_before_it_and_nothing_after() -> None:
    changes = [
        Change("INSERT", 1, ("1", "a", "0")),
        Change("DELETE", 2, None),
        Change("INSERT", 3, ("2", "b", "0")),
        Change("DELETE", 4, None),
        Change("INSERT", 5, ("3", "c", "0")),
    ]
    assert newest_by_key(table(changes)) == (4, {("0", "3"): changes[4]})


@given(st.lists(st.tuples(st.sampled_from("ID T"), st.sampled_from("abc")), max_size=30))
def test_newest_by_key_leaves_what_applying_every_change_in_order_leaves(
    steps: list[tuple[str, str]],
) -> None:
    changes: list[Change] = []
    rows: dict[str, bool] = {}
    versions: dict[str, int] = {}
    for version, (step, key) in enumerate(steps, 1):
        if step == "T":
            changes.append(Change("DELETE", version, None))
            rows, versions = {}, {}
        else:
            changes.append(Change("INSERT" if step == "I" else "DELETE", version, (key, None, "0")))
            rows[key] = step == "I"
            versions[key] = version
    _, newest = newest_by_key(table(changes))
    assert {key[1]: change.clause == "INSERT" for key, change in newest.items()} == rows
    assert {key[1]: change.version for key, change in newest.items()} == versions
