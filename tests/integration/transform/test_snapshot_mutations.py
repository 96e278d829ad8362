"""What breaks when a part of the snapshots is taken out: the tests that hold them would see it."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.integration.transform.replicated import Replicated

BASELINE = "select pgevents.request_snapshot('public.account', 'baseline', null, 'test')"
WAITS_FOR_NOBODY = """
create or replace function pgevents.writers_of(relation oid) returns xid8[] language sql as $$ select '{}'::xid8[] $$
"""
DRAWS_ITS_FLOOR_LAST = """
create or replace function pgevents.send_floor(request pgevents.snapshot_request, captured pgevents.captured_table)
returns void language plpgsql as $$ begin
    insert into pgevents.outbox_1_0 (op) values ('B');
end $$
"""
FORGETS_THE_FILE = """
create or replace function pg_temp.patched(body text) returns text language sql as $$
    select replace(
        body, '(request.part, request.part_file) is distinct from (each_part, pg_relation_filenode(each_part))',
        'request.part is distinct from each_part'
    )
$$;
do $do$ begin
    execute pg_temp.patched(pg_get_functiondef('pgevents.send_rows'::regproc));
end $do$
"""


@pytest.fixture
def shop(database: str, postgres_server: Any) -> Iterator[Replicated]:
    sink = f"{database.rsplit('/', 1)[1]}_sink"
    postgres_server.create_database(sink)
    with closing(Replicated(database, postgres_server.dsn(sink))) as shop:
        shop.run("create table account (id int primary key, n int not null default 0)")
        shop.install("public.account")
        shop.run("insert into account select g, 0 from generate_series(1, 2000) as g")
        shop.drain()
        yield shop
    postgres_server.drop_database(sink)


def commit_late(shop: Replicated) -> list[str]:
    """A row is deleted before the numbers of the snapshot are drawn, and the deletion commits after the read."""
    with shop.connect() as writer, writer.transaction():
        writer.execute("delete from account where id = 7")
        shop.run(BASELINE)
        shop.drain()
    return shop.differences()


def test_without_waiting_for_writers_a_deleted_row_comes_back(shop: Replicated) -> None:
    assert commit_late(shop) == []
    shop.run("insert into account values (7, 0)")
    shop.run(WAITS_FOR_NOBODY)
    assert commit_late(shop) != []


def test_with_a_floor_above_its_rows_a_baseline_empties_the_target(shop: Replicated) -> None:
    shop.run(BASELINE)
    assert shop.differences() == []
    shop.run(DRAWS_ITS_FLOOR_LAST)
    shop.run(BASELINE)
    assert len(shop.differences()) == 2000


def rewrite_between_chunks(shop: Replicated) -> list[str]:
    """The rows of the second half are put where the first half has been read already."""
    shop.run("delete from account; insert into account select g, 0 from generate_series(1, 2000) as g")
    shop.drain()
    shop.run("alter table account alter column n type bigint; alter table account alter column n type int")
    shop.looking.execute("update replica.t0 set n = -1, _version = 1")
    shop.run(BASELINE)
    shop.outbox.advance_snapshots(1000)
    shop.outbox.advance_snapshots(1000)
    shop.run("create index if not exists backwards on account ((-id)); cluster account using backwards")
    return shop.differences()


def test_without_noticing_that_a_table_was_rewritten_rows_are_left_out(shop: Replicated) -> None:
    assert rewrite_between_chunks(shop) == []
    shop.run(FORGETS_THE_FILE)
    assert rewrite_between_chunks(shop) != []
