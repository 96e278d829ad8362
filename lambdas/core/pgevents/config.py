"""pipeline.toml: what is captured and where it goes, typed and checked as a whole before anything uses it."""

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from pgevents.batch import Mode
from pgevents.errors import InputError

Doorbell = Literal["invoke", "notify", "schedule"]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
TableName = Annotated[str, msgspec.Meta(pattern=r"^[^.]+\.[^.]+$", description="schema.table")]
SourceTable = Annotated[str, msgspec.Meta(pattern=r"^[^.]+\.[^.]+\.[^.]+$", description="database.schema.table")]

COLUMN_TYPES = frozenset(
    """boolean smallint integer bigint real numeric text uuid date json jsonb bytea interval inet cidr
    double_precision time timestamp timestamptz""".split()
)
_TYPE_NAMES = {
    "double_precision": "double precision",
    "time": "time without time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
}


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A captured table. `key` defaults to its primary key; `publish` sends every event to LISTEN clients too."""

    table: TableName
    key: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    publish: bool = False


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A source database and how its commits wake the transform Lambda."""

    tables: tuple[Table, ...]
    doorbell: Doorbell = "invoke"


class PostgresSink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="postgres"):
    """A PostgreSQL database whose tables in `schema` follow the sources."""

    schema: Name = "public"


class S3Sink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="s3"):
    """Every change as compressed JSON lines under `prefix` in the pipeline's bucket."""

    prefix: str = "archive"


class RedshiftSink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="redshift"):
    """The Redshift database, written by the redshift_writer Lambda."""

    schema: Name = "public"


Sink = PostgresSink | S3Sink | RedshiftSink


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a captured table's changes go.

    `target` defaults to the table's own name, `key` to the table's key. `columns` declares what transforms add
    or retype, name → type; `omit` names the table's columns that the target does without. A table may have
    several routes: without a transform each gets the row, with one a record goes where it says, else to the first.
    """

    table: SourceTable
    sinks: tuple[str, ...]
    target: str = ""
    mode: Mode = "mirror"
    key: tuple[str, ...] = ()
    columns: dict[str, str] = {}
    omit: tuple[str, ...] = ()

    @property
    def target_name(self) -> str:
        """The table that the records go to, in every sink."""
        return self.target or self.table.rsplit(".", 1)[1]

    def column_types(self) -> dict[str, str]:
        """The declared columns with PostgreSQL's full type names."""
        return {name: _TYPE_NAMES.get(declared, declared) for name, declared in self.columns.items()}


class Policies(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of a value that Redshift's type cannot hold. The default loses nothing."""

    too_long: Literal["dead_letter", "null", "truncate"] = "dead_letter"
    out_of_range: Literal["dead_letter", "null"] = "dead_letter"


class Drain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much one drain takes: events a batch, and batches forwarded but not yet applied."""

    batch_events: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 10_000
    in_flight: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 16


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

    def sinks_of(self, kind: type[Sink]) -> dict[str, Sink]:
        """The sinks of one type by name."""
        return {name: sink for name, sink in self.sinks.items() if isinstance(sink, kind)}


def load(path: Path) -> Pipeline:
    """The pipeline that a file describes.

    Raises InputError naming the file, the path of the wrong value, what was expected and what may be meant.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected the pipeline's description") from error
    try:
        return _checked(msgspec.convert(tomllib.loads(text), Pipeline))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text: {error}") from error
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {_explained(str(error))}") from error
    except _Wrong as error:
        raise InputError(f"{path}: {error}") from error


class _Wrong(Exception):
    """A value that has the right type and still cannot be."""


def _checked(pipeline: Pipeline) -> Pipeline:
    captured = _captured_tables(pipeline)
    targets: dict[str, str] = {}
    for position, route in enumerate(pipeline.routes):
        where = f"routes[{position}]"
        _require_known(f"{where}.table", route.table, captured, "a captured table")
        for sink in route.sinks:
            _require_known(f"{where}.sinks", sink, pipeline.sinks, "a sink")
        for column, declared in route.columns.items():
            _require_known(f"{where}.columns.{column}", declared, COLUMN_TYPES, "a column type")
        if route.target_name in targets:
            raise _Wrong(
                f"{where}.target: {route.target_name!r} already belongs to {targets[route.target_name]}; "
                "a target has one source table: give this route another target"
            )
        targets[route.target_name] = route.table
    _require_one_redshift(pipeline)
    return pipeline


def _captured_tables(pipeline: Pipeline) -> set[str]:
    captured: set[str] = set()
    for name, source in pipeline.sources.items():
        for position, table in enumerate(source.tables):
            full_name = f"{name}.{table.table}"
            if full_name in captured:
                raise _Wrong(f"sources.{name}.tables[{position}].table: {table.table!r} is listed twice; remove one")
            captured.add(full_name)
            if overlap := set(table.key) & set(table.exclude):
                raise _Wrong(
                    f"sources.{name}.tables[{position}].exclude: {min(overlap)!r} is part of the key; "
                    "a key column cannot be left out"
                )
    return captured


def _require_one_redshift(pipeline: Pipeline) -> None:
    if len(names := sorted(pipeline.sinks_of(RedshiftSink))) > 1:
        raise _Wrong(f"sinks: {' and '.join(names)} are both of type redshift; expected at most one")


def _require_known(where: str, value: str, known: "set[str] | frozenset[str] | dict[str, Sink]", what: str) -> None:
    if value not in known:
        raise _Wrong(f"{where}: {value!r} is not {what}; expected one of {', '.join(sorted(known))}{_suggest(value, known)}")


_MESSAGE = re.compile(r"^(?P<problem>.*?)(?: - at `(?P<key>key in )?\$?(?P<path>.*?)`)?$", re.S)
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<field>.+)`")
_UNKNOWN_VALUE = re.compile(r"Invalid (?:enum )?value '(?P<value>.+)'")


def _explained(message: str) -> str:
    """msgspec's message as `path: problem; suggestion`."""
    match = _MESSAGE.match(message)
    if match is None:
        return message
    problem, where = match["problem"], (match["path"] or "").lstrip(".") or "top level"
    if field := _UNKNOWN_FIELD.match(problem):
        return f"{where}: unknown setting {field['field']!r}{_suggest(field['field'], _SETTINGS)}"
    if value := _UNKNOWN_VALUE.match(problem):
        return f"{where}: {problem[0].lower() + problem[1:]}{_suggest(value['value'], _CHOICES)}"
    return f"{where}: {problem[0].lower() + problem[1:]}"


_SECTIONS = (Pipeline, Source, Table, PostgresSink, S3Sink, RedshiftSink, Route, Policies, Drain)
_SETTINGS = frozenset(field for section in _SECTIONS for field in section.__struct_fields__) | {"type"}
_CHOICES = frozenset("invoke notify schedule postgres s3 redshift mirror history both dead_letter null truncate".split())


def _suggest(value: str, known: "set[str] | frozenset[str] | dict[str, Sink]") -> str:
    close = difflib.get_close_matches(value, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
