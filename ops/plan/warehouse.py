"""What the redshift_writer would make or widen in Redshift, and what it could not write."""

from collections.abc import Iterator

import msgspec

from ops.plan.difference import Action, Difference
from pgevents.batch import TableChanges
from pgevents.errors import TerminalError
from redshift_writer.connect import Session
from redshift_writer.control_tables import APPLIED, TRUNCATION
from redshift_writer.identifiers import CONTROL_COLUMNS, folded, refuse_ambiguous
from redshift_writer.shapes import HISTORY_SUFFIX, VERSIONS_SUFFIX
from redshift_writer.sql import joined, sql
from redshift_writer.types import for_postgres, from_catalog


class Present(msgspec.Struct, frozen=True):
    """A table (kind r) or view (v) of Redshift and its columns, name → type as the catalog prints it."""

    kind: str
    columns: dict[str, str]


def warehouse_differences(
    session: Session, sink: str, schema: str, targets: list[TableChanges]
) -> list[Difference]:
    """Everything that the first batch of each target would make in `schema`, and what does not fit.

    Raises ServerError as `Session.run` does.
    """
    present = _present(session, schema, targets)
    found: list[Difference] = []
    for name in (APPLIED, TRUNCATION):
        if name not in present:
            found.append(Difference("add", f"{sink}.{name}", "the writer's own table"))
    for target in targets:
        found += _target(sink, target, present)
    return found


def expected_tables(sink: str, targets: list[TableChanges]) -> list[Difference]:
    """The same for a Redshift that holds nothing."""
    return [difference for target in targets for difference in _target(sink, target, {})]


def _present(session: Session, schema: str, targets: list[TableChanges]) -> dict[str, Present]:
    names = {folded(target.target) + suffix for target in targets for suffix in _SUFFIXES}
    rows = session.run(
        sql(
            """select relation.relname::varchar, relation.relkind::varchar, attribute.attname::varchar,
                format_type(attribute.atttypid, attribute.atttypmod)::varchar
            from pg_catalog.pg_class relation
            join pg_catalog.pg_namespace namespace on namespace.oid = relation.relnamespace
            join pg_catalog.pg_attribute attribute on attribute.attrelid = relation.oid
            where namespace.nspname = {schema} and relation.relname in ({names})
                and attribute.attnum > 0 and not attribute.attisdropped
            order by relation.relname, attribute.attnum""",
            schema=session.quoting.string(folded(schema)),
            names=joined(session.quoting.string(name) for name in sorted({*names, APPLIED, TRUNCATION})),
        )
    ).rows
    found: dict[str, Present] = {}
    for name, kind, column, type_ in rows:
        found.setdefault(str(name), Present(str(kind), {})).columns[str(column)] = str(type_)
    return found


def _target(sink: str, target: TableChanges, present: dict[str, Present]) -> Iterator[Difference]:
    name = folded(target.target)
    try:
        refuse_ambiguous(target.target, (column.name for column in target.columns))
    except TerminalError as error:
        yield Difference("blocked", f"{sink}.{name}", str(error))
        return
    if target.mode != "history":
        yield from _table(sink, name + VERSIONS_SUFFIX, target, present)
        yield from _view(sink, name, target, present)
    if target.mode != "mirror":
        yield from _table(sink, name + HISTORY_SUFFIX, target, present)


def _table(sink: str, name: str, target: TableChanges, present: dict[str, Present]) -> Iterator[Difference]:
    wanted = {folded(column.name): for_postgres(column.type).sql for column in target.columns}
    there = present.get(name)
    if there is None:
        columns = ", ".join(f"{column} {kind}" for column, kind in wanted.items())
        key = ", ".join(map(folded, target.key))
        yield Difference("add", f"{sink}.{name}", f"table with key ({key}): {columns}")
        return
    if there.kind != "r":
        yield Difference("blocked", f"{sink}.{name}", "is no table; drop it or give the route another target")
        return
    for column, kind in wanted.items():
        if column not in there.columns:
            yield Difference("add", f"{sink}.{name}", f"column {column} {kind}")
    yield from _misfits(sink, name, target, there)


def _misfits(sink: str, name: str, target: TableChanges, there: Present) -> Iterator[Difference]:
    for column in target.columns:
        catalog = there.columns.get(folded(column.name))
        if catalog is None:
            continue
        held = from_catalog(catalog)
        if held is None or not held.takes(for_postgres(column.type)):
            what = (
                f"{column.name} is {column.type} at the source and {catalog} in Redshift, which cannot hold "
                "it; give the column a new name in the transform, or change the table in Redshift"
            )
            yield Difference("blocked", f"{sink}.{name}", what)


def _view(sink: str, name: str, target: TableChanges, present: dict[str, Present]) -> Iterator[Difference]:
    versions, there = present.get(name + VERSIONS_SUFFIX), present.get(name)
    kept = [column for column in versions.columns if column not in CONTROL_COLUMNS] if versions else []
    wanted = {*kept, *(folded(column.name) for column in target.columns)}
    action: Action = "add" if there is None else "change"
    if there is None:
        yield Difference(action, f"{sink}.{name}", "view of the living rows")
    elif there.kind != "v":
        what = "is a table that the pipeline did not make; rename it or give the route another target"
        yield Difference("blocked", f"{sink}.{name}", what)
    elif set(there.columns) != wanted:
        yield Difference(
            action, f"{sink}.{name}", f"view, to show {', '.join(sorted(wanted ^ set(there.columns)))}"
        )


_SUFFIXES = ("", VERSIONS_SUFFIX, HISTORY_SUFFIX)
