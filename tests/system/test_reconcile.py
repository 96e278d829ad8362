"""Reconcile on the whole pipeline: it finds what somebody changed behind its back, and only that, while
writers go on; repair puts it right through the outbox."""

import gzip
import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import msgspec
import psycopg
import pytest

from ops.comparison.records import Finding
from ops.endpoints import Endpoints, connect
from ops.reconcile import report
from ops.reconcile.pace import Pace
from ops.reconcile.run import Options, reconciled
from ops.reconcile.selection import select
from ops.status.waiting import wait_until_applied
from pgevents.config import load
from tests.system import traffic

RUNS_UNDER_TRAFFIC = int(os.environ.get("PGEVENTS_RECONCILE_RUNS", "3"))
PATIENCE_SECONDS = 120.0
# The writers stay with the pipeline, however slow the machine: what is to be judged is applied soon.
PAUSE_SECONDS = 0.3
TRANSACTIONS_AHEAD = 10
SEEDED = 2_000_000_001  # keys that the traffic never takes
Key = tuple[str, str, tuple[str | None, ...]]


@contextmanager
def writing(dsn: str, writers: int) -> Iterator[None]:
    """Concurrent writers for the length of a block."""
    done = threading.Event()
    failures: list[BaseException] = []

    def write(seed: int) -> None:
        try:
            with psycopg.connect(dsn, autocommit=True) as connection:
                writer = traffic.Writer(connection, seed)
                for number in itertools.count(1):
                    if done.wait(PAUSE_SECONDS):
                        break
                    writer.transaction()
                    if number % TRANSACTIONS_AHEAD == 0:
                        wait_until_applied({"accounts": dsn}, 5.0)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not failures


class Run(msgspec.Struct, frozen=True):
    """What one run found."""

    findings: list[Finding]
    exit_code: int
    rows: int
    seconds: float

    def in_state(self, state: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.state == state]

    def differing(self) -> dict[Key, tuple[str | None, tuple[str, ...]]]:
        return {(f.sink, f.place, f.key): (f.kind, f.columns) for f in self.in_state("difference")}


def reconcile(project: Path, endpoints: Endpoints, state: Path, **options: object) -> Run:
    pipeline = load(project / "pipeline.toml")
    selection = select(pipeline, None, [], options.pop("since", None))  # type: ignore[arg-type]
    path = state / "reconcile.sqlite"
    with reconciled(pipeline, endpoints, selection, Options(**options), path) as outcome:  # type: ignore[arg-type]
        report.print_text(outcome)
        findings = [finding for _, finding in outcome.spool.findings()]
        return Run(findings, report.exit_code(outcome), outcome.rows, outcome.seconds)


def insert_seeded(dsn: str, rows: int) -> None:
    """Rows that nobody else writes."""
    with psycopg.connect(dsn) as source:
        source.execute(
            "insert into ledger_entry (entry_id, amount, note)"
            " select %s::integer + g, g, 'seeded ' || g from generate_series(0, %s - 1) as g",
            (SEEDED, rows),
        )
        source.execute(
            "insert into wide (k1, k2, c_bool, c_uuid) values (%s, 'ż', true, gen_random_uuid())", (SEEDED,)
        )


def damage(endpoints: Endpoints) -> dict[Key, tuple[str | None, tuple[str, ...]]]:
    """Every kind of damage in every sink; what a run must find of it."""
    missing = range(SEEDED + 100, SEEDED + 150)
    with psycopg.connect(endpoints.postgres) as replica:
        replica.execute("update ledger_entry set note = 'x', amount = 0.5 where entry_id = %s", (SEEDED + 1,))
        replica.execute("delete from ledger_entry where entry_id = %s", (SEEDED + 2,))
        replica.execute("delete from ledger_entry where entry_id = any(%s)", (list(missing),))
        replica.execute("insert into ledger_entry values (-7, 1, 'stray', null, null, now(), 5)")
        replica.execute("delete from ledger_entry_history where entry_id = %s", (SEEDED + 3,))
        replica.execute("update wide set c_bool = false where k1 = %s", (SEEDED,))
    with psycopg.connect(endpoints.redshift.dsn) as warehouse:
        versions = "ledger_entry__versions"
        warehouse.execute(f"update {versions} set amount = -1 where entry_id = {SEEDED + 1}".encode())
        warehouse.execute(
            f"delete from {versions} where entry_id between {missing[0]} and {missing[-1]}".encode()
        )
        for stray, of in ((SEEDED + 9_000_000, SEEDED), (SEEDED + 4, SEEDED + 4)):
            warehouse.execute(
                f"insert into {versions} select {stray}, amount, note, tags, extra, made_at, _version, _deleted"
                f" from {versions} where entry_id = {of}".encode()
            )
    damage_archive(endpoints)
    found: dict[Key, tuple[str | None, tuple[str, ...]]] = {
        ("replica", "ledger_entry", (str(SEEDED + 1),)): ("different", ("amount", "note")),
        ("replica", "ledger_entry", (str(SEEDED + 2),)): ("missing", ()),
        ("replica", "ledger_entry", ("-7",)): ("unexpected", ()),
        ("replica", "ledger_entry_history", (str(SEEDED + 3),)): ("missing", ()),
        ("replica", "wide", (str(SEEDED), "ż")): ("different", ("c_bool",)),
        ("warehouse", "ledger_entry", (str(SEEDED + 1),)): ("different", ("amount",)),
        ("warehouse", "ledger_entry", (str(SEEDED + 9_000_000),)): ("unexpected", ()),
        ("warehouse", "ledger_entry", (str(SEEDED + 4),)): ("duplicated", ()),
        ("archive", "ledger_entry", (str(SEEDED + 5),)): ("different", ("note",)),
        ("archive", "ledger_entry", (str(SEEDED + 6),)): ("missing", ()),
        ("archive", "ledger_entry", ("-8",)): ("unexpected", ()),
    }
    for sink in ("replica", "warehouse"):
        found |= {(sink, "ledger_entry", (str(key),)): ("missing", ()) for key in missing}
    return found


def damage_archive(endpoints: Endpoints) -> None:
    """Writes the object that has the seeded rows anew: one line changed, one gone, one too many."""
    client = boto3.client(
        "s3", endpoint_url=endpoints.aws, region_name="eu-west-1", aws_access_key_id="local",
        aws_secret_access_key="local",
    )  # fmt: skip
    for found in client.list_objects_v2(Bucket=endpoints.bucket, Prefix="archive/ledger_entry/")["Contents"]:
        body = client.get_object(Bucket=endpoints.bucket, Key=found["Key"])["Body"].read()
        lines = [msgspec.json.decode(line) for line in gzip.decompress(body).splitlines()]
        if not any(line.get("entry_id") == SEEDED + 5 for line in lines):
            continue
        kept = [line for line in lines if line.get("entry_id") != SEEDED + 6]
        for line in kept:
            if line.get("entry_id") == SEEDED + 5:
                line["note"] = "changed in the archive"
        kept.append(kept[0] | {"entry_id": -8, "_clause": "INSERT", "amount": "1", "note": None})
        written = gzip.compress(b"".join(msgspec.json.encode(line) + b"\n" for line in kept))
        client.put_object(Bucket=endpoints.bucket, Key=found["Key"], Body=written)


@pytest.mark.timeout(1800)
def test_exactly_what_was_damaged_is_found_and_repaired_while_writers_go_on(
    project: Path, endpoints: Endpoints, state: Path
) -> None:
    dsn = endpoints.sources["accounts"]
    traffic.write_concurrently(dsn, 4, 3_000, seed=7)
    insert_seeded(dsn, 400)
    assert wait_until_applied(endpoints.sources, PATIENCE_SECONDS).everything_applied
    with writing(dsn, writers=3):
        for _ in range(RUNS_UNDER_TRAFFIC):
            run = reconcile(project, endpoints, state)
            assert run.differing() == {}
            assert run.exit_code == 0
        damaged = damage(endpoints)
        found = reconcile(project, endpoints, state)
        assert found.differing() == damaged
        assert found.exit_code == 3

        repaired = reconcile(project, endpoints, state, repair=True)
        assert repaired.differing() == {}
        assert {(f.sink, f.place, f.key) for f in repaired.in_state("repaired")} == set(damaged)
        assert repaired.exit_code == 0
        assert reconcile(project, endpoints, state).differing() == {}
    assert wait_until_applied(endpoints.sources, PATIENCE_SECONDS).everything_applied
    at_rest = reconcile(project, endpoints, state)
    assert at_rest.findings == []


def test_an_interrupted_run_goes_on_where_it_stopped(
    project: Path, endpoints: Endpoints, state: Path
) -> None:
    dsn = endpoints.sources["accounts"]
    insert_seeded(dsn, 30_000)
    assert wait_until_applied(endpoints.sources, PATIENCE_SECONDS).everything_applied
    with psycopg.connect(endpoints.postgres) as replica:
        replica.execute("delete from ledger_entry where entry_id = %s", (SEEDED + 29_000,))
    whole = reconcile(project, endpoints, state)

    read = 0
    for pages in (3, 9, 15):
        read += interrupted_after(pages, project, endpoints, state)
    assert 0 < read < whole.rows
    resumed = reconcile(project, endpoints, state)

    assert resumed.differing() == {("replica", "ledger_entry", (str(SEEDED + 29_000),)): ("missing", ())}
    assert read + resumed.rows <= whole.rows + 3 * 10_000
    assert resumed.rows < whole.rows - read + 3 * 10_000
    assert not (state / "reconcile.sqlite").exists()


def interrupted_after(pages: int, project: Path, endpoints: Endpoints, state: Path) -> int:
    """Ctrl-C comes while a page is waited for; how many rows had been read."""
    counted = 0
    spent: list[int] = []
    spend = Pace.spend

    def interrupt(self: Pace, rows: int) -> None:
        nonlocal counted
        counted += 1
        spend(self, rows)
        spent.append(rows)
        if counted == pages:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Pace, "spend", interrupt)
        reconcile(project, endpoints, state)
    return sum(spent)


def test_only_what_changed_since_is_compared(project: Path, endpoints: Endpoints, state: Path) -> None:
    dsn = endpoints.sources["accounts"]
    insert_seeded(dsn, 100)
    assert wait_until_applied(endpoints.sources, PATIENCE_SECONDS).everything_applied
    with connect("accounts", dsn) as source:
        row = source.execute("select clock_timestamp()").fetchone()
        assert row is not None
        source.execute("update ledger_entry set note = 'later' where entry_id < %s", (SEEDED + 10,))
        source.execute("delete from ledger_entry where entry_id = %s", (SEEDED + 90,))
    assert wait_until_applied(endpoints.sources, PATIENCE_SECONDS).everything_applied
    with psycopg.connect(endpoints.postgres) as replica:
        replica.execute("update ledger_entry set note = 'x' where entry_id = %s", (SEEDED + 1,))
        replica.execute("update ledger_entry set note = 'x' where entry_id = %s", (SEEDED + 50,))
        replica.execute("delete from ledger_entry where entry_id = %s", (SEEDED + 2,))
        replica.execute("delete from ledger_entry_tombstone")
        replica.execute(
            "insert into ledger_entry (entry_id, amount, made_at) values (%s, 1, now())", (SEEDED + 90,)
        )
    run = reconcile(project, endpoints, state, since=row[0].isoformat())

    assert run.differing() == {
        ("replica", "ledger_entry", (str(SEEDED + 1),)): ("different", ("note",)),
        ("replica", "ledger_entry", (str(SEEDED + 2),)): ("missing", ()),
        ("replica", "ledger_entry", (str(SEEDED + 90),)): ("unexpected", ()),
    }


def test_a_row_with_dead_letters_is_named_as_such(project: Path, endpoints: Endpoints, state: Path) -> None:
    with connect("accounts", endpoints.sources["accounts"]) as source:
        source.execute("insert into ledger_entry (entry_id, amount, note) values (1, 1, repeat('x', 70000))")
    assert wait_until_applied(endpoints.sources, PATIENCE_SECONDS).unapplied == {"accounts": 0}

    run = reconcile(project, endpoints, state, repair=True)

    assert run.differing() == {}
    assert {f.key for f in run.in_state("dead")} == {("1",)}
    assert all("70000 bytes" in f.why for f in run.findings)
    assert run.exit_code == 3
