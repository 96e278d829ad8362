"""What must hold between the values of pipeline.toml, each of which has the right type."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from pgevents.config.mistakes import Mistake, child, one_of, shown, unknown
from pgevents.config.pipeline import COLUMN_TYPES, Pipeline, RedshiftSink, Route, S3Sink, Table

# A target becomes a table in every sink, with companions for history and deletions, and a folder in S3: its
# name must be one and the same in each of them, whatever a system folds or cuts.
_TARGET = re.compile(r"[a-z][a-z0-9_]{0,49}")
_TARGET_RULE = "a lower-case letter and then at most 49 lower-case letters, digits or underscores"
_RESERVED_TARGET = "pgevents_"
_COMPANIONS = ("_history", "_tombstone", "__versions")
RESERVED_COLUMNS = frozenset(
    ("_version", "_clause", "_source", "_deleted", "_deleted_at", "_newest", "_applied_at")
)
_OWN_PREFIXES = ("forwarded", "staged")  # batches too large for an event, and files for COPY
_RESERVED_SCHEMAS = ("pg_", "information_schema")

_SYNONYMS = {
    "smallint": ("int2",),
    "integer": ("int", "int4", "number"),
    "bigint": ("int8", "long", "serial", "bigserial"),
    "real": ("float4",),
    "double_precision": ("double precision", "double", "float", "float8"),
    "numeric": ("decimal", "money"),
    "boolean": ("bool",),
    "text": ("string", "str", "varchar", "character varying", "char", "character"),
    "timestamp": ("datetime", "timestamp without time zone"),
    "timestamptz": ("timestamp with time zone",),
    "time": ("time without time zone",),
    "jsonb": ("super", "object", "array"),
    "bytea": ("bytes", "blob", "binary", "varbyte"),
}
_TYPES_ELSEWHERE = {name: ours for ours, names in _SYNONYMS.items() for name in names}

Captured = Mapping[str, Table]


def relation_mistakes(pipeline: Pipeline) -> Iterator[Mistake]:
    """Every value that cannot stand beside the others, sources first."""
    yield from _source_mistakes(pipeline)
    captured = {
        f"{name}.{table.table}": table for name, source in pipeline.sources.items() for table in source.tables
    }
    for position, route in enumerate(pipeline.routes):
        yield from _route_mistakes(f"routes[{position}]", route, captured, pipeline)
    yield from _unrouted_tables(pipeline)
    yield from _target_mistakes(pipeline.routes)
    yield from _sink_mistakes(pipeline)


def _source_mistakes(pipeline: Pipeline) -> Iterator[Mistake]:
    if not pipeline.sources:
        yield Mistake("sources", "empty; expected at least one source: [sources.NAME]")
    for name, source in pipeline.sources.items():
        where = f"sources.{name}.tables"
        if not source.tables:
            yield Mistake(where, f"empty; expected at least one table: [[{where}]]")
        names = [table.table for table in source.tables]
        for position, table in enumerate(source.tables):
            if (first := names.index(table.table)) < position:
                problem = f"{shown(table.table)} is listed already, as tables[{first}]; remove one of the two"
                yield Mistake(f"{where}[{position}].table", problem)
            yield from _captured_column_mistakes(f"{where}[{position}]", table)


def _captured_column_mistakes(where: str, table: Table) -> Iterator[Mistake]:
    yield from _repeated(f"{where}.key", table.key)
    yield from _repeated(f"{where}.exclude", table.exclude)
    for position, column in enumerate(table.exclude):
        if column in table.key:
            problem = (
                f"{shown(column)} is part of the key, which cannot be left out; remove it from one of the two"
            )
            yield Mistake(f"{where}.exclude[{position}]", problem)


def _unrouted_tables(pipeline: Pipeline) -> Iterator[Mistake]:
    for name, source in pipeline.sources.items():
        for position, table in enumerate(source.tables):
            full_name = f"{name}.{table.table}"
            if full_name not in pipeline.routed_tables() and not table.publish:
                yield Mistake(
                    f"sources.{name}.tables[{position}].table",
                    f"no route takes {shown(full_name)}, its events would be captured and dropped; "
                    "add a route for it, set publish = true, or remove it",
                )


def _route_mistakes(where: str, route: Route, captured: Captured, pipeline: Pipeline) -> Iterator[Mistake]:
    if route.table not in captured:
        yield Mistake(f"{where}.table", unknown(route.table, captured, "a captured table"))
        return
    if not route.sinks:
        yield Mistake(f"{where}.sinks", f"empty; expected {one_of(pipeline.sinks)}")
    for position, sink in enumerate(route.sinks):
        if sink not in pipeline.sinks:
            yield Mistake(f"{where}.sinks[{position}]", unknown(sink, pipeline.sinks, "a sink"))
    yield from _repeated(f"{where}.sinks", route.sinks)
    yield from _declared_column_mistakes(where, route)
    yield from _key_and_omit_mistakes(where, route, captured[route.table])


def _declared_column_mistakes(where: str, route: Route) -> Iterator[Mistake]:
    for column, declared in route.columns.items():
        path = child(f"{where}.columns", column)
        if declared not in COLUMN_TYPES:
            yield Mistake(path, unknown(declared, COLUMN_TYPES, "a column type", _TYPES_ELSEWHERE))
        if column in RESERVED_COLUMNS:
            yield Mistake(path, "the sinks keep this name for a column of their own; choose another name")


def _key_and_omit_mistakes(where: str, route: Route, table: Table) -> Iterator[Mistake]:
    yield from _repeated(f"{where}.key", route.key)
    yield from _repeated(f"{where}.omit", route.omit)
    for position, column in enumerate(route.omit):
        path = f"{where}.omit[{position}]"
        if column in (route.key or table.key):
            yield Mistake(path, f"{shown(column)} is part of the key; a key column cannot be omitted")
        if column in route.columns:
            yield Mistake(path, f"{shown(column)} is declared in columns; remove it from one of the two")
    for position, column in enumerate(route.key):
        if column in table.exclude and column not in route.columns:
            problem = f"{shown(column)} is excluded from capture; declare it in columns or choose another key"
            yield Mistake(f"{where}.key[{position}]", problem)


def _target_mistakes(routes: Sequence[Route]) -> Iterator[Mistake]:
    first: dict[str, int] = {}
    for position, route in enumerate(routes):
        where, name = f"routes[{position}].target", route.target_name
        if not _TARGET.fullmatch(name):
            origin = "" if route.target else ", the table's own name,"
            yield Mistake(where, f"{shown(name)}{origin} cannot be a target's name; expected {_TARGET_RULE}")
        if name.startswith(_RESERVED_TARGET):
            yield Mistake(where, f"{shown(name)} begins with {_RESERVED_TARGET}; the sinks keep such names")
        if name in first:
            yield Mistake(
                where,
                f"{shown(name)} is the target of routes[{first[name]}] too ({routes[first[name]].table}); "
                "give this route another target",
            )
        first.setdefault(name, position)
    yield from _companion_mistakes(first)


def _companion_mistakes(targets: Mapping[str, int]) -> Iterator[Mistake]:
    for name, position in targets.items():
        for suffix in _COMPANIONS:
            if name.endswith(suffix) and (owner := name.removesuffix(suffix)) in targets:
                problem = f"{shown(name)} is kept beside the target {shown(owner)}; choose another name"
                yield Mistake(f"routes[{position}].target", problem)


def _sink_mistakes(pipeline: Pipeline) -> Iterator[Mistake]:
    warehouses = sorted(pipeline.sinks_of(RedshiftSink))
    if len(warehouses) > 1:
        yield Mistake("sinks", f"{' and '.join(warehouses)} are of type redshift; expected at most one")
    for name, sink in pipeline.sinks.items():
        if not isinstance(sink, S3Sink) and sink.schema.startswith(_RESERVED_SCHEMAS):
            problem = f"{shown(sink.schema)} is a schema of the database's own; choose another"
            yield Mistake(f"sinks.{name}.schema", problem)
    yield from _prefix_mistakes(pipeline)


def _prefix_mistakes(pipeline: Pipeline) -> Iterator[Mistake]:
    prefixes = [(name, sink.prefix) for name, sink in pipeline.sinks.items() if isinstance(sink, S3Sink)]
    for name, prefix in prefixes:
        if prefix.split("/")[0] in _OWN_PREFIXES:
            problem = f"{shown(prefix)} is where batches on their way to Redshift are kept; choose another"
            yield Mistake(f"sinks.{name}.prefix", problem)
    for (one, earlier), (other, later) in combinations(prefixes, 2):
        if f"{earlier}/".startswith(f"{later}/") or f"{later}/".startswith(f"{earlier}/"):
            problem = f"{shown(later)} overlaps {shown(earlier)}, the prefix of sink {one}; choose another"
            yield Mistake(f"sinks.{other}.prefix", problem)


def _repeated(where: str, values: Sequence[str]) -> Iterator[Mistake]:
    for position, value in enumerate(values):
        if value in values[:position]:
            yield Mistake(f"{where}[{position}]", f"{shown(value)} is listed twice; remove one of the two")
