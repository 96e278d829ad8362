"""What a route says of columns is held against the table at installation, not only against itself."""

import pytest

from db_triggers.installer import install
from db_triggers.preflight import problems
from pgevents.config import Route, Source, Table
from pgevents.errors import InputError
from tests.integration.db_triggers.captured import NAME, WAKE, Captured

SOURCE = Source(tables=(Table("public.account", exclude=("secret",)),), doorbell="schedule")


@pytest.fixture
def account(captured: Captured) -> Captured:
    captured.run("create table account (id int primary key, name text, secret text)")
    return captured


def found(captured: Captured, *routes: Route, source: Source = SOURCE) -> list[str]:
    return problems(captured.app, NAME, source, routes)


def route(table: str = "shop.public.account", **settings: object) -> Route:
    return Route(table, ("lake",), **settings)  # type: ignore[arg-type]


def test_a_route_that_fits_its_table_has_no_problems(account: Captured) -> None:
    fitting = route(key=("id", "slug"), omit=("name",), columns={"slug": "text"})
    assert found(account, route(), fitting) == []


def test_a_column_to_omit_that_the_table_lacks_is_named_with_its_place(account: Captured) -> None:
    assert found(account, route("other.public.thing"), route(omit=("name", "nmae"))) == [
        "routes[1].omit[1]: public.account has no captured column nmae; expected one of id, name"
    ]


def test_a_column_to_omit_that_is_not_captured_at_all_is_told_so(account: Captured) -> None:
    assert found(account, route(omit=("secret",))) == [
        "routes[0].omit[0]: secret is excluded from capture already; remove it from omit"
    ]


def test_the_primary_key_cannot_be_omitted_even_where_the_file_names_no_key(account: Captured) -> None:
    assert found(account, route(omit=("id",))) == [
        "routes[0].omit[0]: id is part of the key of public.account, which cannot be left out"
    ]
    assert found(account, route(omit=("id",), key=("name",))) == []


def test_a_key_column_is_one_of_the_table_or_declared(account: Captured) -> None:
    assert found(account, route(key=("id", "slug"))) == [
        "routes[0].key[1]: public.account has no captured column slug; expected one of id, name, "
        "or a column that a transform adds: declare it in columns"
    ]


def test_a_column_with_a_name_that_the_sinks_keep_has_to_be_omitted(account: Captured) -> None:
    account.run("alter table account add column _version int")
    assert found(account, route()) == [
        "routes[0].omit: public.account has a column _version, a name that the sinks keep; omit it"
    ]
    assert found(account, route(omit=("_version",))) == []


def test_a_table_that_is_missing_is_said_once(account: Captured) -> None:
    source = Source(tables=(Table("public.ghost"),), doorbell="schedule")
    [problem] = found(account, route("shop.public.ghost", omit=("x",)), source=source)
    assert "table public.ghost does not exist" in problem


def test_an_installation_is_refused_with_nothing_changed(account: Captured) -> None:
    with pytest.raises(InputError, match=r"^shop: routes\[0\]\.omit\[0\]: public\.account has no captured"):
        install(account.app, NAME, SOURCE, WAKE, [route(omit=("nmae",))])
    assert account.run("select to_regnamespace('pgevents')") == [(None,)]
