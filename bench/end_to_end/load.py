"""The load: single-row transactions by pgbench, each row with the moment at which it was written."""

import subprocess
import tempfile
import time
from pathlib import Path

import msgspec
import psycopg

from local.postgres import binaries
from local.programs import ProgramFailed

CLIENTS = 8
OWN_ROWS = 400
"""Rows that each client changes in turn, so that a reader sees each change before the next one of its row."""
_A_SCRIPT = 3

_ROWS = """
insert into entry
select g, 0, clock_timestamp(), g / 7.0, g / 3.0, true, date '2030-01-01', gen_random_uuid(), 'entry ' || g,
    repeat('a note ', 5), array['a', g::text], jsonb_build_object('g', g)
from generate_series(%s::bigint, %s) as g
"""

# Three transactions. Variables outlive a run of the script, so n counts a client's runs. The moment is that
# of the statement, a little before its commit: latencies count the commit too.
_SCRIPT = f"""
\\set n :n + 1
\\set own :client_id * {OWN_ROWS} + :n % {OWN_ROWS}
\\set fresh (:client_id + 1) * 1000000000 + :first + :n
\\set old :fresh - {OWN_ROWS}
insert into entry values (:fresh, :n, clock_timestamp(), :n / 7.0, :n / 3.0, true, '2030-01-01',
    gen_random_uuid(), 'entry', repeat('a note ', 5), array['a', 'b'], '{{"g": 1}}');
update entry set counter = :n, stamped_at = clock_timestamp(), amount = amount + 1 where entry_id = :own;
delete from entry where entry_id = :old;
"""


class Committed(msgspec.Struct, frozen=True):
    """What was committed: single-row transactions, from when until when (Unix seconds)."""

    transactions: int
    began: float
    ended: float

    @property
    def rate(self) -> float:
        """Transactions a second."""
        return self.transactions / (self.ended - self.began)


def commit_rows(connection: psycopg.Connection, first: int, count: int) -> None:
    """Inserts so many entries in one transaction, numbered from the first on."""
    connection.execute(_ROWS, (first, first + count - 1))


class Load:
    """Insertions, updates and deletions in a database's table of entries, a third each."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._first = 0
        with psycopg.connect(dsn, autocommit=True) as connection:
            commit_rows(connection, 0, CLIENTS * OWN_ROWS)

    def commit(self, transactions: int, rate: float | None = None) -> Committed:
        """Commits about so many, as fast as they go or at a rate a second. Raises ProgramFailed."""
        runs = max(1, transactions // _A_SCRIPT // CLIENTS)
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
            script.write(_SCRIPT)
            script.flush()
            began = time.time()
            self._pgbench(Path(script.name), runs, [] if rate is None else [f"--rate={rate / _A_SCRIPT:g}"])
        self._first += runs
        return Committed(runs * _A_SCRIPT * CLIENTS, began, time.time())

    def _pgbench(self, script: Path, runs: int, pace: list[str]) -> None:
        command = [
            str(binaries.program("pgbench")), "--no-vacuum", "--protocol=prepared", f"--file={script}",
            f"--client={CLIENTS}", "--define=n=0", f"--define=first={self._first}",
            f"--transactions={runs}", *pace, self._dsn,
        ]  # fmt: skip
        # Without waiting for the disk: the writers must be faster than the pipeline.
        environment = {"PGOPTIONS": "-c synchronous_commit=off", "LC_ALL": "C"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise ProgramFailed(f"pgbench ended with {done.returncode}: {done.stderr.strip()[-300:]}")
