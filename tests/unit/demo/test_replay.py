from collections import Counter
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from demo import history
from demo.replay import ACCOUNT, CERTIFICATE, EXPIRY_WATCH, TABLES, Replay
from demo.root_store import RootStore
from demo.statements import Table
from pgevents.errors import InputError, TransientError

# Written by triggers of the database's own, so that the replay's record is checked against somebody else's.
AUDIT = """
create table public.audit (table_name text not null, event_type text not null);
create function public.note() returns trigger language plpgsql as $$
begin
    insert into public.audit values (tg_table_name, tg_op);
    return null;
end $$;
"""


def audit(dsn: str, tables: list[Table]) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(AUDIT)
        for table in tables:
            for events, level in (("insert or update or delete", "row"), ("truncate", "statement")):
                connection.execute(
                    f"create trigger note_{level} after {events} on {table.name} for each {level}"
                    " execute function public.note()".encode()
                )


def audited(dsn: str, source: str) -> Counter[tuple[str, str]]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "select table_name, event_type, count(*) from audit group by 1, 2"
        ).fetchall()
    return Counter({(f"{source}.public.{table}", event_type): count for table, event_type, count in rows})


def rows_of(dsn: str, table: Table) -> list[dict[str, Any]]:
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        return connection.execute(f"select * from {table.name}".encode()).fetchall()


@pytest.fixture
def replay(store: RootStore, sources: dict[str, str]) -> Replay:
    for source, dsn in sources.items():
        audit(dsn, [table for table in TABLES if table.source == source])
    return Replay(store, sources)


def test_replay_counts_exactly_the_events_that_the_databases_saw(
    replay: Replay, sources: dict[str, str]
) -> None:
    for _ in replay.run():
        pass
    seen = audited(sources["accounts"], "accounts") + audited(sources["certificates"], "certificates")
    assert replay.committed == seen


def test_every_event_type_occurs_where_it_should_and_some_changes_are_rolled_back(replay: Replay) -> None:
    for _ in replay.run():
        pass
    for table in (ACCOUNT, CERTIFICATE):
        assert all(replay.committed[table.full_name, kind] > 50 for kind in ("INSERT", "UPDATE", "DELETE"))
    assert replay.committed[EXPIRY_WATCH.full_name, "TRUNCATE"] == 34
    assert replay.committed[EXPIRY_WATCH.full_name, "INSERT"] > 50
    rolled_back = {kind for (_, kind), count in replay.rolled_back.items() if count}
    assert rolled_back == {"INSERT", "UPDATE", "DELETE", "TRUNCATE"}


def test_databases_end_as_the_last_release_of_the_history(
    replay: Replay, store: RootStore, sources: dict[str, str]
) -> None:
    steps = list(replay.run())
    *_, (_, last) = history.states(store)
    accounts = {row.pop("account_id"): row for row in rows_of(sources["accounts"], ACCOUNT)}
    assert {row["operator_id"]: history.Account(**row) for row in accounts.values()} == last.accounts
    certificates = [history.TrustedRoot(**row) for row in rows_of(sources["certificates"], CERTIFICATE)]
    assert {row.fingerprint: row for row in certificates} == last.certificates
    watch = [history.ExpiryWatch(**row) for row in rows_of(sources["certificates"], EXPIRY_WATCH)]
    assert sorted(watch, key=lambda line: (line.expires_on, line.fingerprint)) == list(last.expiry_watch)
    assert sum(step.events for step in steps) == replay.committed.total()
    assert [step.number for step in steps] == list(range(1, 35))
    # Rolled-back inserts have used up identity values, as they do.
    assert max(accounts) > replay.committed[ACCOUNT.full_name, "INSERT"]


def test_used_databases_are_refused_before_anything_is_written(
    store: RootStore, sources: dict[str, str]
) -> None:
    first = Replay(store, sources)
    next(first.run())
    second = Replay(store, sources)
    with pytest.raises(InputError, match="already holds rows; the demo replays into a fresh state folder"):
        list(second.run())
    assert not second.committed


def test_other_writer_is_noticed(store: RootStore, sources: dict[str, str]) -> None:
    steps = Replay(store, sources).run()
    next(steps)
    with psycopg.connect(sources["certificates"]) as connection:
        connection.execute("delete from certificate")
    with pytest.raises(
        InputError, match=r"certificates\.public\.certificate: .* something else writes to this table"
    ):
        list(steps)


def test_lost_database_and_missing_source_are_named(store: RootStore, sources: dict[str, str]) -> None:
    unreachable = sources | {"accounts": "postgresql://127.0.0.1:1/accounts"}
    with pytest.raises(TransientError, match="the replay stopped: .*127.0.0.1"):
        list(Replay(store, unreachable).run())
    with pytest.raises(InputError, match="no source database 'certificates'"):
        list(Replay(store, {"accounts": sources["accounts"]}).run())
