"""Where mutants are tried: servers that stay, and for each run a source, schemas and a prefix of its own."""

import contextlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg import conninfo

from bench.faults.traffic import Finding, Load, Record, Traffic, judge, pipeline_toml
from bench.faults.traffic.record import read_source
from bench.faults.traffic.tables import schema as traffic_schema
from local.emulator import ACCESS_KEY, REGION, Emulator
from local.postgres import PostgresServer, binaries
from local.programs.environment import PROJECT
from ops.comparison import compare_sinks
from ops.endpoints import Endpoints, Redshift
from pgevents.config import Pipeline, load
from pgevents.settings import Connection, Connections
from tests.faults.mutations.lambdas import Lambdas, Weather, running
from tests.local.redshift.stand_in import Running

SOURCE = "shop"
BUCKET = "mutations"
TEMPLATE = "traffic_template"
_numbers = count(1)


class Bed:
    """The servers. Everything in them is made once and shared by all runs."""

    def __init__(self, server: PostgresServer, redshift: Running, emulator: Emulator) -> None:
        self.server = server
        self.redshift = redshift
        self.emulator = emulator
        server.create_database(TEMPLATE)
        with psycopg.connect(server.dsn(TEMPLATE)) as connection:
            connection.execute(traffic_schema().encode())
        server.create_database("replica")
        emulator.create_bucket(BUCKET)


class Replacement(msgspec.Struct, frozen=True):
    """A text of the code and what takes its place. `path` is below the project's folder."""

    path: str
    old: str
    new: str


PACE = (
    Replacement(
        "lambdas/transform/source/outbox.py",
        "_HALF_FULL_BYTES = 2 * 1024 * 1024",
        "_HALF_FULL_BYTES = 8 * 1024",
    ),
    Replacement("lambdas/transform/source/outbox.py", "_ROTATE_SECONDS = 1.0", "_ROTATE_SECONDS = 0.0"),
    Replacement("lambdas/transform/left_out.py", "_REST_SECONDS = 30.0", "_REST_SECONDS = 0.3"),
    Replacement("lambdas/transform/drain.py", "_HELD_AT_ONCE = 16", "_HELD_AT_ONCE = 1"),
    Replacement("lambdas/transform/source/snapshots.py", "CHUNK_ROWS = 5_000", "CHUNK_ROWS = 7"),
)
"""What makes a run of seconds go through what takes hours: rotation, chunks. In every run, mutated or not."""


class Hand:
    """A session that writes by hand; each transaction has a name and its row in the journal, like the traffic's."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)

    def begin(self, name: str, isolation: str = "read committed") -> None:
        """Begins a transaction, which has its number, and its snapshot where it keeps one, from here on."""
        self._connection.execute(f"begin isolation level {isolation}".encode())
        self._connection.execute("select set_config('traffic.tx', %s, true)", (name,))
        self._connection.execute("insert into journal (tx, writer, number) values (%s, 0, 0)", (name,))

    def execute(self, *statements: str) -> None:
        """Runs statements in it."""
        for statement in statements:
            self._connection.execute(statement.encode())

    def commit(self, name: str, *statements: str) -> None:
        """A whole transaction."""
        self.begin(name)
        self.execute(*statements, "commit")

    def close(self) -> None:
        """Rolls back what is open."""
        self._connection.close()


_UNSENT = """
select exists (select from pgevents.snapshot_request where state in ('waiting', 'running'))
"""


class Run:
    """One run: a copy of the code, a source, and whatever the scenario makes of them."""

    def __init__(
        self, bed: Bed, folder: Path, replacements: tuple[Replacement, ...], weather: Weather
    ) -> None:
        self.bed = bed
        self.number = next(_numbers)
        self.name = f"run_{self.number}"
        self.code = _copy_code(folder / "the code", PACE + replacements)
        self.dsn = bed.server.dsn(self.name)
        self.findings: list[Finding] = []
        self.patience_seconds = 20.0
        _clone(bed.server, self.name)
        self._write_pipeline()
        self.pipeline: Pipeline = load(self.code / "pipeline.toml")
        self.lambdas = Lambdas(
            self.code, folder / "lambdas.log", self._variables(), (SOURCE, self.dsn), weather
        )

    def install(self) -> None:
        """Captures the traffic's tables with the code under test."""
        installer = self.lambdas.environment("installer")
        answer = installer.invoke({"dsn": self.dsn, "source": SOURCE})
        installer.end()
        if "error" in answer:
            raise AssertionError(answer["error"])

    def reconcile(self, *, repair: bool = False) -> list[dict[str, Any]]:
        """What the code under test finds when it reconciles everything."""
        reconciler = self.lambdas.environment("reconcile")
        endpoints = msgspec.to_builtins(self.endpoints)
        file = str(self.code / "reconcile.sqlite")
        answer = reconciler.invoke({"endpoints": endpoints, "repair": repair, "file": file})
        reconciler.end()
        if "error" in answer:
            raise AssertionError(answer["error"])
        found: list[dict[str, Any]] = answer["answer"]
        return found

    def execute(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Runs SQL in the source; its rows."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def traffic(self, changes: int = 500, writers: int = 4, seed: int = 1, **load: Any) -> Record:
        """Traffic from its start to its record."""
        load = {"changes": changes, "writers": writers, **load}
        traffic = Traffic({SOURCE: self.dsn}, seed, msgspec.convert(load, Load))
        traffic.start()
        return traffic.finish()

    @contextlib.contextmanager
    def hands(self, count: int = 1) -> Iterator[list[Hand]]:
        """Sessions that write by hand."""
        opened = [Hand(self.dsn) for _ in range(count)]
        try:
            yield opened
        finally:
            for hand in opened:
                hand.close()

    def record(self) -> Record:
        """The record of everything until now."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return Record(0, {SOURCE: read_source(connection, [])}, Counter(), [], 0, 0, 0.0)

    def sink(self, query: str) -> list[tuple[Any, ...]]:
        """Looks into the PostgreSQL sink; `{}` in the query is the run's schema."""
        return self._look("replica", query)

    def warehouse(self, query: str) -> list[tuple[Any, ...]]:
        """Looks into the database behind the Redshift stand-in."""
        return self._look("warehouse", query)

    def _look(self, database: str, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.bed.server.dsn(database), autocommit=True) as connection:
            try:
                cursor = connection.execute(query.format(self.name).encode())
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                return []  # nothing has come there yet
            return cursor.fetchall() if cursor.description else []

    def write_transform(self, code: str) -> None:
        """Gives the code under test a transform, from the next environment on."""
        folder = self.code / "lambdas" / "transform" / "transforms"
        (folder / "of_the_test.py").write_text(code)
        self.lambdas.drains.end()

    def find(self, kind: str, what: object) -> None:
        """Notes a finding of the scenario's own."""
        self.findings.append(Finding(kind, SOURCE, str(what)))  # type: ignore[arg-type]

    def settle(self) -> bool:
        """Waits until everything that has committed is applied or dead; whether it came to that."""
        return self.until(self._at_rest)

    def until(self, condition: Callable[[], bool]) -> bool:
        """Waits until a condition holds, at most as long as the run's patience lasts."""
        deadline = time.monotonic() + self.patience_seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def verdict(self, record: Record | None = None, *, histories: bool = True) -> list[Finding]:
        """Everything that is wrong once nothing moves any more. Without a record, with the one until now."""
        if not self.settle():
            self.find(
                "stuck", self.execute("select state, last_error, count(*) from pgevents.batch group by 1, 2")
            )
        if histories:
            self.findings += judge(record or self.record(), self.pipeline, self.endpoints)
        for compared in compare_sinks(self.pipeline, self.endpoints):
            for difference in compared.differences:
                self.find("differs", f"{compared.sink} {compared.target} {difference}")
        for row in self.execute(
            "select table_name, keys, error from pgevents.dead_letter where resolved_at is null"
        ):
            self.find("dead", row)
        return self.findings

    @property
    def endpoints(self) -> Endpoints:
        """Where sinks and source are."""
        return Endpoints(
            sources={SOURCE: self.dsn},
            postgres=self.bed.server.dsn("replica"),
            redshift=Redshift(self.bed.redshift.dsn),
            lambda_="", console="", aws=self.bed.emulator.url, bucket=BUCKET,
            sinks={"replica": self.bed.server.dsn("replica")},
        )  # fmt: skip

    def _at_rest(self) -> bool:
        # In two queries: what was opened as a batch before the first one is visible in the second.
        if self.execute(_UNSENT) == [(True,)] or self.execute("select pgevents.has_events()") == [(True,)]:
            return False
        unfinished = self.execute(
            "select count(*) from pgevents.batch where state not in ('applied', 'dead')"
        )
        return unfinished == [(0,)]

    def _write_pipeline(self) -> None:
        text = pipeline_toml([SOURCE], doorbell="notify", batch_events=50)
        text = text.replace('type = "postgres"', f'type = "postgres"\nschema = "{self.name}"')
        text = text.replace('type = "redshift"', f'type = "redshift"\nschema = "{self.name}"')
        text = text.replace('type = "s3"', f'type = "s3"\nprefix = "{self.name}"')
        (self.code / "pipeline.toml").write_text(text)

    def _variables(self) -> dict[str, str]:
        connections = Connections(
            {SOURCE: _connection(self.dsn)}, {"replica": _connection(self.bed.server.dsn("replica"))}
        )
        return {
            "PGEVENTS_CONNECTIONS": msgspec.json.encode(connections).decode(),
            "PGEVENTS_REDSHIFT": msgspec.json.encode(self.bed.redshift.settings).decode(),
            "PGEVENTS_BUCKET": BUCKET,
            "PGEVENTS_WRITER_FUNCTION": "writer",
            "PGEVENTS_OVERDUE_SECONDS": "0.6",
            "PGEVENTS_MARGIN_SECONDS": "1",
            "PGEVENTS_PULSE_SECONDS": "2",
            "AWS_ENDPOINT_URL_S3": self.bed.emulator.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        }


@contextlib.contextmanager
def run(
    bed: Bed, folder: Path, replacements: tuple[Replacement, ...], weather: Weather, installed: bool = True
) -> Iterator[Run]:
    """A run whose Lambdas work, with capture installed unless the scenario does that."""
    made = Run(bed, folder, replacements, weather)
    try:
        with running(made.lambdas):
            if installed:
                made.install()
            yield made
    finally:
        bed.server.drop_database(made.name)


def _copy_code(to: Path, replacements: tuple[Replacement, ...]) -> Path:
    """The code, with each replacement made. Fails when a text is not there exactly once: it has changed since."""
    ignored = shutil.ignore_patterns("__pycache__", "requirements*")
    for folder in ("lambdas", "db_triggers", "ops"):
        shutil.copytree(PROJECT / folder, to / folder, ignore=ignored)
    for module in (to / "lambdas" / "transform" / "transforms").glob("[a-z]*.py"):
        module.unlink()
    for each in replacements:
        path = to / each.path
        text = path.read_text()
        if text.count(each.old) != 1:
            raise AssertionError(
                f"{each.path} has {text.count(each.old)} times what is to be mutated: {each.old!r}"
            )
        path.write_text(text.replace(each.old, each.new.replace("@PSQL@", str(binaries.program("psql")))))
    return to


def _clone(server: PostgresServer, name: str) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(f"create database {name} template {TEMPLATE}".encode())


def _connection(dsn: str) -> Connection:
    parts = conninfo.conninfo_to_dict(dsn)
    return Connection(
        str(parts["host"]),
        int(str(parts["port"])),
        str(parts["dbname"]),
        str(parts["user"]),
        sslmode="disable",
    )
