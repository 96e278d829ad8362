"""The comparison on real databases: keys and values of many types, transforms, and what somebody damages."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from ops.endpoints import Endpoints, Redshift
from ops.reconcile.run import Options, reconciled
from ops.reconcile.selection import select
from pgevents import ChangeEvent, Record, transforms
from pgevents.config import Pipeline, PostgresSink, Route, Source, Table
from pgevents.errors import InputError
from pgevents.transforms import on
from tests.integration.reconcile.conftest import Pair

MakePair = Callable[..., Pair]
TABLE = (Table("public.item"),)


def pipeline(*routes: Route, tables: tuple[Table, ...] = TABLE, sinks: int = 1) -> Pipeline:
    names = ["replica", "second"][:sinks]
    return Pipeline(
        sources={"shop": Source(tables, doorbell="schedule")},
        sinks={name: PostgresSink() for name in names},
        routes=routes or (Route("shop.public.item", tuple(names)),),
    )


@pytest.fixture
def registry() -> Iterator[None]:
    """Transforms that a test registers go with it."""
    with transforms.isolated():
        yield


def test_equal_tables_are_equal_whatever_their_types_and_page_sizes(
    make_pair: MakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("postgres", "source"):
        monkeypatch.setattr(f"ops.comparison.{module}.PAGE_ROWS", 3)
    monkeypatch.setattr("ops.comparison.source._FIRST_PAGE_ROWS", 2)
    pair = make_pair(
        """
        create type colour as enum ('red', 'blue', 'green');
        create domain code as char(4);
        create table item (
            t text collate "C.utf8", e colour, n numeric, c char(5), d code, i inet, b bytea, u uuid,
            j jsonb, a text[], r real, f double precision, iv interval, z timestamptz, ok boolean,
            primary key (e, t, n, c)
        );
        """,
        pipeline(Route("shop.public.item", ("replica",), mode="both")),
        """
        insert into item
        select
            case g % 5 when 0 then 'ä' || g when 1 then '' when 2 then 'Z' || g else 'a"\\,' || g end,
            (array['red', 'blue', 'green'])[1 + g % 3]::colour, (g / 4.0)::numeric(10, 3), 'c' || g, 'd' || g,
            '10.0.0.1', decode(md5(g::text), 'hex'), gen_random_uuid(), jsonb_build_object('g', g),
            array['x', null, '{"' || g], g / 3.0, g / 7.0, make_interval(secs => g), now(), g % 2 = 0
        from generate_series(1, 60) as g
        """,
    )
    pair.drain()
    found = pair.compare()
    assert found.findings == []
    assert found.rows() == {("replica", "item"): 60, ("replica", "item_history"): 60}

    replica = pair.sinks["replica"]
    replica.execute(
        "delete from item where ctid in (select ctid from item where e = 'red' order by t limit 3)"
    )
    replica.execute("update item set ok = not ok, i = '10.0.0.2' where c like 'c7 %'")
    replica.execute("insert into item (e, t, n, c) values ('zzz', 'none', 1, 'x')")
    found = pair.compare()
    kinds = sorted((f.kind or "", f.columns) for f in found.findings if f.state == "difference")
    assert kinds == [("different", ("i", "ok")), *[("missing", ())] * 3, ("unexpected", ())]


def test_a_key_that_is_printed_in_another_way_is_the_same_key(make_pair: MakePair) -> None:
    pair = make_pair(
        "create table item (id numeric primary key, v numeric)",
        pipeline(),
        "insert into item values (1.0, 1.50), (2, 2)",
    )
    pair.drain()
    pair.source.execute("update item set id = 1.00, v = 3 where id = 1")
    pair.drain()
    pair.sinks["replica"].execute("alter table item alter v type numeric(12, 4)")
    assert pair.compare().findings == []


def test_keys_are_found_however_the_databases_sort(
    make_pair: MakePair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source sorts by the order of the enum's labels and by number, the sink by their text."""
    for module in ("postgres", "source"):
        monkeypatch.setattr(f"ops.comparison.{module}.PAGE_ROWS", 7)
    pair = make_pair(
        "create type grade as enum ('z', 'a', 'Y', 'ä', 'B');"
        "create table item (grade grade, id integer, primary key (grade, id))",
        pipeline(Route("shop.public.item", ("replica",), columns={"id": "text"})),
        "insert into item select e, g from unnest(enum_range(null::grade)) as e, generate_series(1, 40) as g",
    )
    pair.drain()
    found = pair.compare()
    assert found.findings == []
    assert found.rows() == {("replica", "item"): 200}
    pair.sinks["replica"].execute("delete from item where (grade, id) in (('z', '9'), ('B', '10'))")
    pair.sinks["replica"].execute("insert into item values ('ÿ', '9', 1), ('', '-', 1), ('a', '41', 1)")
    assert pair.compare().differing() == {
        ("replica", "item", "z", "9"): ("missing", ()),
        ("replica", "item", "B", "10"): ("missing", ()),
        ("replica", "item", "ÿ", "9"): ("unexpected", ()),
        ("replica", "item", "", "-"): ("unexpected", ()),
        ("replica", "item", "a", "41"): ("unexpected", ()),
    }


def test_a_target_without_any_row_at_the_source_may_hold_none(make_pair: MakePair) -> None:
    pair = make_pair("create table item (id integer primary key)", pipeline(), "insert into item values (1)")
    pair.drain()
    pair.source.execute("truncate item")
    pair.drain()
    assert pair.compare().findings == []
    pair.sinks["replica"].execute("insert into item values (1)")
    assert pair.compare().differing() == {("replica", "item", "1"): ("unexpected", ())}


def test_a_table_that_the_sink_does_not_have_yet_misses_every_row(make_pair: MakePair) -> None:
    pair = make_pair("create table item (id integer primary key)", pipeline())
    assert pair.compare().findings == []
    pair.source.execute("insert into item values (1), (2)")
    pair.drain()
    pair.sinks["replica"].execute("drop table item; drop table item_tombstone")
    assert pair.compare().differing() == {
        ("replica", "item", "1"): ("missing", ()),
        ("replica", "item", "2"): ("missing", ()),
    }


def test_a_column_that_no_change_has_brought_to_the_sink_yet_differs(make_pair: MakePair) -> None:
    pair = make_pair(
        "create table item (id integer primary key)", pipeline(), "insert into item values (1), (2)"
    )
    pair.drain()
    pair.source.execute("alter table item add column price numeric default 5")
    assert pair.compare().differing() == {
        ("replica", "item", "1"): ("different", ("price",)),
        ("replica", "item", "2"): ("different", ("price",)),
    }
    pair.source.execute(
        "update item set price = null where id = 2; update item set price = price where id = 1"
    )
    pair.drain()
    assert pair.compare().findings == []


def test_omitted_and_excluded_columns_do_not_count(make_pair: MakePair) -> None:
    pair = make_pair(
        "create table item (id integer primary key, secret text, note text, big text)",
        pipeline(
            Route("shop.public.item", ("replica",), omit=("big",)),
            tables=(Table("public.item", exclude=("secret",)),),
        ),
        "insert into item values (1, 'a', 'b', 'c')",
    )
    pair.drain()
    pair.source.execute("update item set secret = 'x'")
    assert pair.compare().findings == []


def test_the_newest_state_in_a_history_is_compared(make_pair: MakePair) -> None:
    pair = make_pair(
        "create table item (id integer primary key, v integer)",
        pipeline(Route("shop.public.item", ("replica",), mode="history")),
        "insert into item select g, g from generate_series(1, 20) as g",
    )
    pair.drain()
    pair.source.execute("truncate item")
    pair.source.execute("insert into item select g, g from generate_series(5, 15) as g")
    pair.source.execute("update item set v = 0 where id < 8")
    pair.source.execute("delete from item where id > 12")
    pair.drain()
    assert pair.compare().findings == []
    replica = pair.sinks["replica"]
    replica.execute("delete from item_history where id = 6 and v = 0")
    replica.execute("delete from item_history where id = 9")
    replica.execute("delete from item_history where id = 13 and _clause = 'DELETE'")
    assert pair.compare().differing() == {
        ("replica", "item_history", "6"): ("different", ("v",)),
        ("replica", "item_history", "9"): ("missing", ()),
        ("replica", "item_history", "13"): ("unexpected", ()),
    }


@pytest.mark.usefixtures("registry")
def test_transforms_that_drop_rows_change_keys_and_fan_out_are_followed(make_pair: MakePair) -> None:
    @on("shop.public.item", "INSERT", "UPDATE")
    def item(event: ChangeEvent) -> list[Record] | None:
        identity, size = event.payload["id"], event.payload["size"]
        assert isinstance(identity, int)
        if size == 0:
            return None
        whole = Record({"code": f"item-{1000 - identity}", "size": size})
        parts = [Record({"whole": identity, "part": n}, target="part") for n in range(int(str(size)))]
        return [whole, *parts]

    pair = make_pair(
        "create table item (id integer primary key, size integer)",
        pipeline(
            Route("shop.public.item", ("replica",), columns={"code": "text"}, key=("code",), omit=("id",)),
            Route(
                "shop.public.item", ("replica",), target="part", key=("whole", "part"), omit=("id", "size"),
                columns={"whole": "integer", "part": "integer"},
            ),
        ),
        "insert into item select g, g % 4 from generate_series(1, 40) as g",
    )  # fmt: skip
    pair.drain()
    pair.source.execute(
        "update item set size = 0 where id = 5; update item set id = 99, size = 1 where id = 6"
    )
    pair.drain()
    found = pair.compare()
    assert found.findings == []
    assert found.rows() == {("replica", "item"): 29, ("replica", "part"): 58}

    replica = pair.sinks["replica"]
    replica.execute("delete from item where code = 'item-993'")
    replica.execute("update item set size = 9 where code = 'item-997'")
    replica.execute(
        "insert into item (code, size, _version) select 'item-995', 1, _version from item limit 1"
    )
    replica.execute("delete from part where whole = 3 and part = 1")
    assert pair.compare().differing() == {
        ("replica", "item", "item-993"): ("missing", ()),
        ("replica", "item", "item-997"): ("different", ("size",)),
        ("replica", "item", "item-995"): ("unexpected", ()),
        ("replica", "part", "3", "1"): ("missing", ()),
    }


@pytest.mark.usefixtures("registry")
def test_what_a_transform_writes_is_compared_as_postgresql_prints_it(make_pair: MakePair) -> None:
    @on("shop.public.item", "INSERT", "UPDATE")
    def item(event: ChangeEvent) -> Record:
        return Record({**event.payload, "amount": "1E+2", "at": "2026-11-22T16:00:00+02:00", "ok": "yes"})

    pair = make_pair(
        "create table item (id integer primary key)",
        pipeline(
            Route(
                "shop.public.item", ("replica",),
                columns={"amount": "numeric", "at": "timestamptz", "ok": "boolean"},
            )
        ),
        "insert into item values (1)",
    )  # fmt: skip
    pair.drain()
    assert pair.compare().findings == []


@pytest.mark.usefixtures("registry")
def test_a_row_that_its_transform_refuses_is_named_and_is_no_difference(make_pair: MakePair) -> None:
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
    found = pair.compare()
    assert [(f.state, f.key, f.why) for f in found.findings] == [("failed", ("2",), "ValueError: no twos")]
    pair.source.execute("update item set id = id")
    pair.drain()
    found = pair.compare()
    assert {(f.state, f.key) for f in found.findings} == {("dead", ("2",))}
    assert all("no twos" in finding.why for finding in found.findings)


def test_only_what_changed_since_is_compared(make_pair: MakePair) -> None:
    pair = make_pair("create table item (id integer primary key, note text)", pipeline(sinks=2))
    pair.source.execute("insert into item select g, 'old' from generate_series(1, 100) as g")
    pair.drain()
    row = pair.source.execute("select clock_timestamp()").fetchone()
    assert row is not None
    assert pair.compare(since=row[0].isoformat()).rows() == {("replica", "item"): 0, ("second", "item"): 0}
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


def test_a_time_that_the_ledger_no_longer_knows_is_refused(make_pair: MakePair) -> None:
    pair = make_pair("create table item (id integer primary key)", pipeline())
    pair.source.execute("insert into item values (1)")
    pair.drain()
    pair.source.execute("update pgevents.purged set batches = 1")
    with pytest.raises(InputError, match="the ledger of source shop begins at"):
        pair.compare(since="2d")


def test_what_is_not_applied_in_time_is_counted_and_said(
    make_pair: MakePair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ops.reconcile.run.APPLIED_WITHIN_SECONDS", 0.1)
    pair = make_pair("create table item (id integer primary key)", pipeline())
    pair.source.execute("insert into item values (1), (2)")
    sinks = {name: sink.info.dsn for name, sink in pair.sinks.items()}
    endpoints = Endpoints({"shop": pair.source.info.dsn}, sinks["replica"], Redshift(""), "", "", sinks=sinks)
    selection = select(pair.pipeline, None, [], "1h")

    def unapplied() -> Mapping[str, int]:
        with reconciled(pair.pipeline, endpoints, selection, Options(), tmp_path / "position") as outcome:
            return outcome.unapplied

    assert unapplied() == {"shop": 2}
    pair.drain()
    assert unapplied() == {}
