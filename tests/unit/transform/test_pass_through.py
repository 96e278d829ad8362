"""Events without a transform are taken all at once, and come to what they come to one by one."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from pgevents.batch import Change
from pgevents.config import Route
from tests.unit.transform.routed import (
    ANN,
    EPOCH,
    event,
    insert,
    pipeline,
    route,
    routed,
    rows,
    version,
)
from transform.routing import TableRouter
from transform.source.outbox import OutboxRow, TableRows

# One that no transform of the repository is for.
NAME = "public.plain"
TABLE = f"accounts.{NAME}"
COLUMNS = {"id": "bigint", "amount": "numeric", "note": "text"}
ROUTES = (
    route(table=TABLE, target="whole"),
    route(table=TABLE, target="narrow", omit=("note",), key=("amount", "id")),
    route(table=TABLE, target="by_amount", key=("amount",), columns={"more": "text"}),
)
IMAGES = st.tuples(
    st.sampled_from("12"), st.sampled_from(["1", "1.0", "2"]), st.none() | st.sampled_from("xy")
)
NOTHING = (None,) * 3


def events(images: st.SearchStrategy[tuple[str | None, ...]]) -> st.SearchStrategy[list[OutboxRow]]:
    """Events in which everything can happen that the outbox can hold."""
    nothing = st.just(NOTHING)
    made = st.one_of(
        st.tuples(st.sampled_from("IS"), nothing, images),
        st.tuples(st.sampled_from("US"), images, images),
        st.tuples(st.just("D"), images, nothing),
        st.tuples(st.sampled_from("TB"), nothing, nothing),
    )
    return st.lists(made, max_size=12).map(
        lambda found: [
            OutboxRow(op, seq, "7", "2026-11-22 15:54:53+00", before, after)
            for seq, (op, before, after) in enumerate(found, 1)
        ]
    )


def router(captured: TableRows, *to: Route) -> TableRouter:
    return TableRouter(pipeline(*to), "accounts", EPOCH, captured, {})


def gathered(routed: TableRouter) -> tuple[list[Sequence[Change]], list[int], int]:
    dead = [letter.seq for letter in routed.dead]
    return [target.changes for target in routed.targets], dead, routed.dropped


def both_ways(found: list[OutboxRow], *to: Route) -> tuple[object, object]:
    captured = rows(*found, columns=COLUMNS, name=NAME)
    at_once, one_by_one = router(captured, *to), router(captured, *to)
    at_once.take_all()
    for row in found:
        one_by_one.take(row)
    return gathered(at_once), gathered(one_by_one)


@given(events(IMAGES))
def test_events_come_to_the_same_all_at_once_and_one_by_one(found: list[OutboxRow]) -> None:
    at_once, one_by_one = both_ways(found, *ROUTES)
    assert at_once == one_by_one


@given(events(IMAGES | st.just(("1", None, "x")) | st.just((None, "1", "x"))))
def test_a_null_in_a_key_kills_its_event_alone_and_those_that_wait_behind_it(found: list[OutboxRow]) -> None:
    at_once, one_by_one = both_ways(found, *ROUTES)
    assert at_once == one_by_one


def test_events_of_a_table_without_a_route_are_dropped() -> None:
    other = route(table="accounts.public.other")
    at_once = router(rows(insert(1, ANN), insert(2, ANN), name=NAME), other)
    at_once.take_all()
    assert (at_once.targets, at_once.dropped) == ([], 2)


class AllAtOnce(TableRouter):
    """A router that takes no event by itself."""

    def take(self, row: OutboxRow) -> None:
        raise AssertionError(row)


def test_no_event_of_a_plain_table_is_taken_by_itself() -> None:
    captured = rows(insert(1, ANN), event("T", 2), event("U", 3, ANN, ANN), name=NAME)
    at_once = AllAtOnce(pipeline(route(table=TABLE)), "accounts", EPOCH, captured, {})
    at_once.take_all()
    assert [change.version for change in at_once.targets[0].changes] == [version(1), version(2), version(3)]


def test_a_refused_event_of_a_plain_table_dies_all_the_same() -> None:
    captured = rows(insert(1, ANN), insert(2, ANN), name=NAME)
    result = routed(captured, to=[route(table=TABLE)], refused={1: "too long"})
    assert [letter.seq for letter in result.dead] == [1, 2]
