"""What is kept of a run that broke a promise: its result, the logs, the ledgers, the traffic's record."""

import contextlib
import re
import shutil
from pathlib import Path

import msgspec
import psycopg

from bench.faults.arena import Arena
from bench.faults.result import Result

_TABLES = ("pgevents.batch", "pgevents.dead_letter", "pgevents.setting", "traffic.change", "public.journal")
_MOST_LOG_BYTES = 4_000_000


def keep(arena: Arena, result: Result, folder: Path) -> Path:
    """Copies it into a folder of its own within this one; that folder."""
    kept = folder / f"{slug(result.kind)}-{result.seed}"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    (kept / "result.json").write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2))
    for log in [*arena.state.path.glob("logs/*.log"), *arena.state.path.glob("lambda/logs/lambda/*.log")]:
        (kept / log.name).write_bytes(log.read_bytes()[-_MOST_LOG_BYTES:])
    for source, dsn in arena.dsns.items():
        for table in _TABLES:
            with contextlib.suppress(psycopg.Error, OSError):
                _dump(dsn, table, kept / f"{source}-{table}.csv")
    with contextlib.suppress(psycopg.Error, OSError):
        _dump(arena.sink_dsn, "pgevents_applied_batch", kept / "replica-applied_batch.csv")
        _dump(arena.behind_redshift_dsn, "pgevents_applied_batch", kept / "warehouse-applied_batch.csv")
    return kept


def slug(kind: str) -> str:
    """A kind's name as part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", kind.lower()).strip("-")


def _dump(dsn: str, table: str, file: Path) -> None:
    with (
        psycopg.connect(dsn, connect_timeout=5) as connection,
        connection.cursor() as cursor,
        cursor.copy(f"copy (select * from {table}) to stdout csv header".encode()) as rows,
        file.open("wb") as out,
    ):
        for block in rows:
            out.write(block)
