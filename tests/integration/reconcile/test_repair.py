"""Repair sends rows through the outbox: by their keys, or by a baseline where a stray row's origin is unknown."""

from collections.abc import Callable, Iterator

import pytest

from ops.comparison.check import Check
from ops.comparison.sinks import places_of, postgres_places
from ops.comparison.source import SourceTable
from ops.comparison.spool import Spool
from ops.reconcile.dead import mark_dead
from ops.reconcile.repair import repair
from pgevents import ChangeEvent, Record, transforms
from pgevents.config import Route
from pgevents.transforms import on
from tests.integration.reconcile.conftest import Pair
from tests.integration.reconcile.test_compare import pipeline

MakePair = Callable[..., Pair]


@pytest.fixture
def registry() -> Iterator[None]:
    """Transforms that a test registers go with it."""
    with transforms.isolated():
        yield


def repaired(pair: Pair) -> tuple[dict[str, int], list[str]]:
    """Compares and repairs; how many findings are in each state then, and what was told."""
    told: list[str] = []
    sinks = {name: postgres_places(name, sink, "public") for name, sink in pair.sinks.items()}
    with Spool(pair.folder / "repair.sqlite") as spool, pair.draining():
        source = SourceTable(pair.pipeline, "shop", pair.pipeline.sources["shop"].tables[0], pair.source)

        def settle(source: SourceTable, places: object) -> None:
            mark_dead(spool, pair.source, source.name, source.table)
            repair(spool, source, places, pair.applied_by_others, 10, told.append)  # type: ignore[arg-type]

        Check(spool, places_of(sinks, spool), pair.applied_by_others, settle=settle).compare(source)
        states: dict[str, int] = {}
        for (_, _, state), count in spool.counts().items():
            states[state] = states.get(state, 0) + count
        spool.remove()
    return states, told


def test_rows_are_sent_again_by_their_keys(make_pair: MakePair) -> None:
    pair = make_pair(
        "create table item (id integer primary key, v integer)",
        pipeline(Route("shop.public.item", ("replica",), mode="both")),
        "insert into item select g, g from generate_series(1, 200) as g",
    )
    pair.drain()
    replica = pair.sinks["replica"]
    replica.execute("delete from item where id <= 50; update item set v = 0 where id = 60")
    replica.execute("insert into item select -g, 1 from generate_series(1, 3) as g")
    replica.execute("delete from item_history where id = 70")

    assert repaired(pair) == ({"repaired": 55}, ["shop.public.item: request 1 sends rows again"])
    assert pair.compare().findings == []


@pytest.mark.usefixtures("registry")
def test_a_stray_row_of_a_transform_takes_a_baseline(make_pair: MakePair) -> None:
    @on("shop.public.item", "INSERT", "UPDATE")
    def item(event: ChangeEvent) -> Record | None:
        return Record({"code": f"c{event.payload['id']}"}) if event.payload["v"] else None

    pair = make_pair(
        "create table item (id integer primary key, v integer)",
        pipeline(
            Route("shop.public.item", ("replica",), columns={"code": "text"}, key=("code",), omit=("id",))
        ),
        "insert into item select g, g % 3 from generate_series(1, 30) as g",
    )
    pair.drain()
    pair.sinks["replica"].execute(
        "insert into item (code) values ('c3'), ('x'); delete from item where code = 'c1'"
    )

    assert repaired(pair) == ({"repaired": 3}, ["shop.public.item: request 1 sends every row again"])
    assert pair.compare().findings == []


@pytest.mark.usefixtures("registry")
def test_no_baseline_takes_the_last_state_of_a_row_that_its_transform_refuses(make_pair: MakePair) -> None:
    refuses = False

    @on("shop.public.item", "INSERT", "UPDATE")
    def item(event: ChangeEvent) -> Record:
        if refuses and event.payload["id"] == 2:
            raise ValueError("no twos")
        return Record(event.payload)

    pair = make_pair(
        "create table item (id integer primary key)", pipeline(), "insert into item values (1), (2), (3)"
    )
    pair.drain()
    refuses = True
    replica = pair.sinks["replica"]
    replica.execute("delete from item where id = 1; insert into item values (9, 1)")

    states, told = repaired(pair)

    assert states == {"failed": 1, "difference": 1, "repaired": 1}
    assert "stray rows stay" in told[0]
    assert replica.execute("select id from item order by id").fetchall() == [(1,), (2,), (3,), (9,)]
