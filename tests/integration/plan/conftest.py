"""A source whose installation is planned, then done."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from db_triggers.installer import Wake, install
from ops.plan.captures import capture_differences
from ops.plan.difference import Difference
from pgevents.config import Source, Table

NAME = "shop"
WAKE = Wake("pgevents-prod-transform", "eu-west-1")
TABLES = """
create table account (id int primary key, name text, secret text);
create table visit (id int, place varchar(20), primary key (id)) partition by range (id);
create table visit_low partition of visit for values from (0) to (100);
"""
SOURCE = Source(
    tables=(Table("public.account", exclude=("secret",)), Table("public.visit")), doorbell="schedule"
)


class Planned:
    """A database, the plan for it and its installation."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    def run(self, statements: str) -> None:
        self.connection.execute(statements.encode())

    def plan(self, source: Source = SOURCE, wake: Wake | None = WAKE) -> list[Difference]:
        return capture_differences(self.connection, NAME, source, wake)

    def install(self, source: Source = SOURCE) -> None:
        install(self.connection, NAME, source, WAKE)


@pytest.fixture
def planned(database: str) -> Iterator[Planned]:
    """A database with two tables, and nothing of ours."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLES)
        yield Planned(connection)
