"""The comparison on real databases: keys and values of many types, transforms, and what somebody damages."""

from collections.abc import Callable

from pgevents.config import Pipeline, PostgresSink, Route, Source, Table
from tests.integration.reconcile.conftest import Pair

MakePair = Callable[[str, Pipeline], Pair]


def pipeline(*routes: Route, tables: tuple[Table, ...] = (Table("public.item"),), sinks: int = 1) -> Pipeline:
    names = ["replica", "second"][:sinks]
    return Pipeline(
        sources={"shop": Source(tables, doorbell="schedule")},
        sinks={name: PostgresSink() for name in names},
        routes=routes or (Route("shop.public.item", tuple(names)),),
    )


def test_only_what_changed_since_is_compared(make_pair: MakePair) -> None:
    pair = make_pair("create table item (id integer primary key, note text)", pipeline(sinks=2))
    pair.source.execute("insert into item select g, 'old' from generate_series(1, 100) as g")
    pair.drain()
    row = pair.source.execute("select clock_timestamp()").fetchone()
    assert row is not None
    pair.source.execute("update item set note = 'later' where id <= 10")
    pair.source.execute("delete from item where id = 90")
    pair.drain()
    replica = pair.sinks["replica"]
    replica.execute("update item set note = 'x' where id in (1, 50)")
    replica.execute("delete from item where id = 2")
    replica.execute("delete from item_tombstone")
    replica.execute("insert into item (id) values (90)")

    found = pair.compare(since=row[0].isoformat())

    assert found.differing() == {
        ("replica", "item", "1"): ("different", ("note",)),
        ("replica", "item", "2"): ("missing", ()),
        ("replica", "item", "90"): ("unexpected", ()),
    }
    assert found.rows() == {("replica", "item"): 10, ("second", "item"): 10}
