"""The types of pipeline.toml: what is captured and where it goes. docs/reference/pipeline.md explains it."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pgevents.batch import Mode

Doorbell = Literal["invoke", "notify", "schedule"]

# \Z and not $, which also matches before a newline at the end. A description stands behind "expected".
Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9_]{0,39}\Z",
        description="a lower-case letter and then at most 39 lower-case letters, digits or underscores",
    ),
]
TableName = Annotated[
    str,
    Meta(
        pattern=r'^[^."\x00]+\.[^."\x00]+\Z',
        description="schema.table, spelled as PostgreSQL stores the names, without quotes",
    ),
]
SourceTable = Annotated[str, Meta(description="database.schema.table")]
ColumnName = Annotated[str, Meta(pattern=r"^[^\x00]{1,63}\Z", description="a column's name")]
Prefix = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)*\Z",
        max_length=200,
        description="folder names of letters, digits, '_', '.' and '-', with a / between them only",
    ),
]

COLUMN_TYPES = frozenset(
    (
        "boolean",
        "smallint",
        "integer",
        "bigint",
        "real",
        "double_precision",
        "numeric",
        "text",
        "uuid",
        "json",
    )
    + ("jsonb", "bytea", "date", "time", "timestamp", "timestamptz", "interval", "inet", "cidr")
)
_TYPE_NAMES = {
    "double_precision": "double precision",
    "time": "time without time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
}

MOST_SHARDS = 16


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A captured table. `key` defaults to its primary key; `publish` sends its events to LISTEN clients."""

    table: TableName
    key: tuple[ColumnName, ...] = ()
    exclude: tuple[ColumnName, ...] = ()
    publish: bool = False


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A source database, how its commits wake the transform Lambda, and how many of those take a backlog
    side by side, each with the keys of its own shard."""

    tables: tuple[Table, ...]
    doorbell: Doorbell = "invoke"
    shards: Annotated[int, Meta(ge=1, le=MOST_SHARDS)] = 1


class PostgresSink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="postgres"):
    """A PostgreSQL database whose tables in `schema` follow the sources."""

    schema: Name = "public"


class S3Sink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="s3"):
    """Every change as compressed JSON lines under `prefix` in the pipeline's bucket."""

    prefix: Prefix = "archive"


class RedshiftSink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="redshift"):
    """The Redshift database, written by the redshift_writer Lambda."""

    schema: Name = "public"


Sink = PostgresSink | S3Sink | RedshiftSink


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a captured table's changes go.

    `target` defaults to the table's own name, `key` to the table's key. `columns` declares what transforms
    add or retype, name → type; `omit` names the table's columns that the target does without. A table may
    have several routes: without a transform each gets the row, with one a record goes where it says, else to
    the first.
    """

    table: SourceTable
    sinks: tuple[str, ...]
    target: str = ""
    mode: Mode = "mirror"
    key: tuple[ColumnName, ...] = ()
    columns: dict[ColumnName, str] = {}
    omit: tuple[ColumnName, ...] = ()

    @property
    def target_name(self) -> str:
        """The table that the records go to, in every sink."""
        return self.target or self.table.rsplit(".", 1)[-1]

    def column_types(self) -> dict[str, str]:
        """The declared columns with PostgreSQL's full type names."""
        return {name: _TYPE_NAMES.get(declared, declared) for name, declared in self.columns.items()}


class Policies(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of a value that Redshift's type cannot hold. The default loses nothing."""

    too_long: Literal["dead_letter", "null", "truncate"] = "dead_letter"
    out_of_range: Literal["dead_letter", "null"] = "dead_letter"


BATCH_BYTES = 8 * 1024 * 1024
MOST_WRITERS = 100


class Drain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much one drain takes: events and bytes a batch, and batches forwarded but not yet applied.

    A Lambda needs about ten times a batch's bytes of memory beside what it starts with.
    """

    batch_events: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    batch_bytes: Annotated[int, Meta(ge=10_000, le=256 * 1024 * 1024)] = BATCH_BYTES
    in_flight: Annotated[int, Meta(ge=1, le=1_000)] = 16


class Pipeline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of pipeline.toml."""

    sources: dict[Name, Source]
    sinks: dict[Name, Sink]
    routes: tuple[Route, ...]
    policies: Policies = Policies()
    drain: Drain = Drain()

    def routed_tables(self) -> frozenset[str]:
        """Every `database.schema.table` that a route names."""
        return frozenset(route.table for route in self.routes)

    def writers(self) -> int:
        """How many redshift_writers must be able to run at once: one for each batch in flight, within reason.

        They take turns by a lock in Redshift, and all but one wait. But Lambda makes an event that finds no
        writer wait for seconds, then for minutes. Each shard beyond the first may hand on one batch more.
        """
        in_flight = self.drain.in_flight * len(self.sources) + self.shards_beside()
        return min(in_flight, MOST_WRITERS)

    def shards_beside(self) -> int:
        """How many shards all sources have beyond the first ones, which their own drains take."""
        return sum(source.shards - 1 for source in self.sources.values())

    def sinks_of(self, kind: type[Sink]) -> dict[str, Sink]:
        """The sinks of one type by name."""
        return {name: sink for name, sink in self.sinks.items() if isinstance(sink, kind)}
