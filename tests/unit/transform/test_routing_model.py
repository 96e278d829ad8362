"""Whatever happens to a table, its targets end as the transform of what it ends as."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgevents import ChangeEvent, Record, on, transforms
from pgevents.batch import TableChanges
from tests.unit.transform.routed import (
    TABLE,
    Row,
    delete,
    event,
    insert,
    route,
    routed,
    rows,
    snapshot,
    update,
)
from transform.source.outbox import OutboxRow

pytestmark = pytest.mark.usefixtures("own_registry")


TAGS = {"id": "bigint", "tags": "text"}
TAG_ROUTES = [route(target="tag", key=("id", "tags")), route(target="loud", key=("id",))]


def by_tag(event: ChangeEvent) -> list[Record]:
    """A record a tag; one with an a in it is besides loud, one with an x is left out."""
    row, tags = event.payload, sorted(set(str(event.payload["tags"])) - {"x"})
    loud = [Record({**row, "tags": "A"}, target="loud")] if "a" in tags else []
    return [*(Record({**row, "tags": tag}) for tag in tags), *loud]


STEPS = st.lists(
    st.tuples(
        st.sampled_from("IIUUUDSKT"), st.integers(1, 3), st.integers(1, 3), st.text("abcx", max_size=3)
    ),
    max_size=25,
)


def history(steps: list[tuple[str, int, int, str]]) -> tuple[list[OutboxRow], dict[str, Row]]:
    """What a table's triggers capture while it goes through these steps, and the rows that it ends with."""
    table: dict[str, Row] = {}
    events: list[OutboxRow] = []
    for seq, (step, number, other, tags) in enumerate(steps, 1):
        key, row = str(number), table.get(str(number))
        new: Row = {"id": str(other) if step == "K" else key, "tags": tags}
        if step == "T":
            events.append(event("T", seq, width=2))
            table.clear()
        elif row is None and step in "IS":
            events.append(insert(seq, new) if step == "I" else snapshot(seq, new))
            table[key] = new
        elif row is not None and step == "D":
            events.append(delete(seq, table.pop(key)))
        elif row is not None and (step == "U" or (step == "K" and str(other) not in table)):
            events.append(update(seq, table.pop(key), new))
            table[str(new["id"])] = new
    return events, table


def held(
    batch_tables: list[TableChanges],
) -> dict[tuple[str, tuple[str | None, ...]], tuple[str | None, ...]]:
    """What the targets hold after every change, in order."""
    target_rows: dict[tuple[str, tuple[str | None, ...]], tuple[str | None, ...]] = {}
    for table in batch_tables:
        for change in table.changes:
            if change.values is None:
                target_rows = {place: row for place, row in target_rows.items() if place[0] != table.target}
                continue
            place = (table.target, tuple(change.values[position] for position in table.key_positions()))
            if change.clause == "INSERT":
                target_rows[place] = change.values
            else:
                target_rows.pop(place, None)
    return target_rows


@given(STEPS)
@settings(max_examples=300)
def test_targets_end_as_the_transform_of_the_source(steps: list[tuple[str, int, int, str]]) -> None:
    events, table = history(steps)
    for transform in (by_tag, None):
        transforms.forget()
        if transform is not None:
            on(TABLE)(transform)
        result = routed(rows(*events, columns=TAGS), to=TAG_ROUTES)
        ending = [snapshot(1_000 + position, row) for position, row in enumerate(table.values())]
        expected = routed(rows(*ending, columns=TAGS), to=TAG_ROUTES)
        assert result.dead == expected.dead == []
        assert held(result.batch.tables) == held(expected.batch.tables)
