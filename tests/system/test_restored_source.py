"""A source whose files were put back to an earlier state, through the whole pipeline.

Nothing in the database itself tells: its system identifier and its timeline are the same. The sinks do.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any, LiteralString

import boto3
import psycopg
import pytest

from local.emulator import ACCESS_KEY, REGION
from local.stack import running
from ops.endpoints import Endpoints, connect
from ops.status.waiting import wait_until_applied

PATIENCE_SECONDS = 300.0
ROWS: LiteralString = "select entry_id, amount::float8, note from ledger_entry order by 1"


def write(endpoints: Endpoints, *statements: LiteralString) -> None:
    """Runs statements in the source, each of which comes to a batch of its own, and waits for all of them."""
    for statement in statements:
        with connect("accounts", endpoints.sources["accounts"]) as source:
            source.execute(statement)
        assert wait_until_applied(endpoints.sources, PATIENCE_SECONDS).everything_applied


def rows(dsn: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(ROWS).fetchall()


def archived(endpoints: Endpoints) -> dict[str, bytes]:
    """Every object of the archive."""
    session = boto3.Session(ACCESS_KEY, ACCESS_KEY, region_name=REGION)
    s3 = session.client("s3", endpoint_url=endpoints.aws)
    try:
        keys = [
            found["Key"]
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=endpoints.bucket)
            for found in page.get("Contents", [])
            if "/ledger_entry/" in found["Key"] or found["Key"].startswith("ledger_entry/")
        ]
        return {key: s3.get_object(Bucket=endpoints.bucket, Key=key)["Body"].read() for key in keys}
    finally:
        s3.close()


def copy(files: Path, to: Path) -> None:
    """With their owner: for root, the server runs as somebody else."""
    subprocess.run(["cp", "-a", files, to], check=True)


@pytest.mark.timeout(600)
def test_sinks_follow_the_source_and_the_archive_loses_nothing(project: Path, state: Path) -> None:
    source_files, backup = state / "servers" / "source-accounts", state.parent / "backup"
    with running(project, state) as endpoints:
        write(
            endpoints,
            "insert into ledger_entry (entry_id, amount, note) select g, g, 'shared' from generate_series(1, 50) as g",
        )
    copy(source_files, backup)

    with running(project, state) as endpoints:
        write(
            endpoints,
            "update ledger_entry set note = 'lost', amount = -1 where entry_id <= 20",
            "delete from ledger_entry where entry_id between 30 and 35",
            "insert into ledger_entry (entry_id, amount, note) select g, g, 'lost' from generate_series(100, 120) as g",
            "update ledger_entry set entry_id = 1000 where entry_id = 45",
        )
        lost = archived(endpoints)
        assert len(lost) >= 5, sorted(lost)
    shutil.rmtree(source_files)
    copy(backup, source_files)

    with running(project, state) as endpoints:
        write(
            endpoints,
            "update ledger_entry set note = 'after' where entry_id in (1, 30)",
            "insert into ledger_entry (entry_id, amount, note) values (101, 7, 'after')",
        )
        with connect("accounts", endpoints.sources["accounts"]) as source:
            assert source.execute("select count(*) from pgevents.epoch").fetchone() == (2,)
            pending = "select count(*) from pgevents.snapshot_request where state in ('waiting', 'running')"
            assert source.execute(pending).fetchone() == (0,)
        assert wait_until_applied(endpoints.sources, PATIENCE_SECONDS).everything_applied
        expected = rows(endpoints.sources["accounts"])
        assert len(expected) == 51
        assert rows(endpoints.postgres) == expected
        assert rows(endpoints.redshift.dsn) == expected
        now = archived(endpoints)
    assert {key: now.get(key) for key in lost} == lost
    assert len(now) > len(lost)
