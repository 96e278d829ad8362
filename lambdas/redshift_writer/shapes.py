"""The tables that a target needs in Redshift, made when missing and widened when a column is new.

For target `account` in mode mirror or both:
  account__versions   the newest version of every key, deleted ones included: key, columns, _version, _deleted
  account             a view of it: the living rows with the user's columns, and nothing else
in mode history or both:
  account_history     every version of every key: key, columns, _clause, _version, _applied_at
"""

from collections.abc import Iterable, Mapping

import msgspec

from pgevents import log
from pgevents.batch import Mode, TableChanges
from pgevents.errors import TerminalError
from redshift_writer.connect import Session
from redshift_writer.identifiers import CONTROL_COLUMNS, folded, listed, qualified, quoted, refuse_ambiguous
from redshift_writer.sql import Sql, joined, sql
from redshift_writer.types import RedshiftType, for_postgres, from_catalog

VERSIONS_SUFFIX = "__versions"
HISTORY_SUFFIX = "_history"
_UNSORTED = frozenset(("document", "binary"))

Columns = dict[str, str]
"""Column name → type as the catalog prints it."""


class Relation(msgspec.Struct, frozen=True):
    """A table or view as the catalog has it; `kind` is r for a table, v for a view."""

    kind: str
    columns: Columns


class Shape(msgspec.Struct, frozen=True):
    """What is known of a target's tables: their names and the types of the user's columns, names folded."""

    versions: str
    history: str
    columns: dict[str, RedshiftType]
    mode: Mode

    def covers(self, table: TableChanges) -> bool:
        """Whether changes of this layout can go as they are."""
        for column in table.columns:
            present = self.columns.get(folded(column.name))
            if present is None or not present.takes(for_postgres(column.type)):
                return False
        return self.mode in (table.mode, "both")


class Shapes:
    """Shapes seen before, kept over warm invocations."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._known: dict[str, Shape] = {}
        self._lasting_views: set[str] = set()

    def known(self, tables: Iterable[TableChanges]) -> dict[str, Shape] | None:
        """The shapes of all of these tables, None when one is not known well enough."""
        shapes = {table.target: self._known.get(table.target) for table in tables}
        if any((shape := shapes[table.target]) is None or not shape.covers(table) for table in tables):
            return None
        return {target: shape for target, shape in shapes.items() if shape is not None}

    def forget(self) -> None:
        """Drops everything: something in the database is not as it was."""
        self._known.clear()

    def leave_views(self, targets: Iterable[str]) -> None:
        """Stops replacing views that others depend on; their new columns are in the table only."""
        self._lasting_views.update(targets)
        log.warning("view_not_replaced", targets=sorted(targets), reason="other objects depend on it")

    def ensure(self, session: Session, tables: list[TableChanges]) -> dict[str, Shape]:
        """Makes the tables as these changes need them, inside the open transaction.

        Raises TerminalError for a target that cannot be held, ServerError as `Session.run` does.
        """
        for table in tables:
            refuse_ambiguous(table.target, (column.name for column in table.columns))
        found = self._relations(session, tables)
        statements: list[Sql] = []
        for table in tables:
            statements += self._statements(table, found)
        if statements:
            session.run(joined(statements, "; "))
            found = self._relations(session, tables)
        shapes = {table.target: self._shape(table, found) for table in tables}
        self._known.update(shapes)
        return shapes

    def _relations(self, session: Session, tables: list[TableChanges]) -> dict[str, Relation]:
        names = sorted({folded(name) for table in tables for name in _names(table.target)})
        result = session.run(
            sql(
                """select relation.relname::varchar, relation.relkind::varchar, attribute.attname::varchar,
                    format_type(attribute.atttypid, attribute.atttypmod)::varchar
                from pg_catalog.pg_class relation
                join pg_catalog.pg_namespace namespace on namespace.oid = relation.relnamespace
                join pg_catalog.pg_attribute attribute on attribute.attrelid = relation.oid
                where namespace.nspname = {schema} and relation.relname in ({names})
                    and attribute.attnum > 0 and not attribute.attisdropped
                order by relation.relname, attribute.attnum""",
                schema=session.quoting.string(folded(self._schema)),
                names=joined(session.quoting.string(name) for name in names),
            )
        )
        relations: dict[str, Relation] = {}
        for name, kind, column, kind_of_column in result.rows:
            relation = relations.setdefault(str(name), Relation(str(kind), {}))
            relation.columns[str(column)] = str(kind_of_column)
        return relations

    def _statements(self, table: TableChanges, found: dict[str, Relation]) -> list[Sql]:
        view, versions, history = (folded(name) for name in _names(table.target))
        statements: list[Sql] = []
        if table.mode != "history":
            statements += self._widened(versions, table, found, _VERSIONS_CONTROL, keyed=True)
            statements += self._replaced_view(view, versions, table, found)
        if table.mode != "mirror":
            statements += self._widened(history, table, found, _HISTORY_CONTROL, keyed=False)
        return statements

    def _widened(
        self,
        name: str,
        table: TableChanges,
        found: dict[str, Relation],
        control: Mapping[str, Sql],
        keyed: bool,
    ) -> list[Sql]:
        wanted = {folded(column.name): for_postgres(column.type) for column in table.columns}
        relation = found.get(name)
        if relation is None:
            found[name] = Relation("r", _catalog_names(wanted, control))
            return [_create_table(self._schema, name, wanted, table, control, keyed)]
        if relation.kind != "r":
            raise TerminalError(
                f"{self._schema}.{name} is no table; drop it or give the route another target"
            )
        missing = {column: kind for column, kind in wanted.items() if column not in relation.columns}
        relation.columns.update({column: kind.sql for column, kind in missing.items()})
        return [
            sql(
                "alter table {table} add column {column} {kind}",
                table=qualified(self._schema, name),
                column=quoted(column),
                kind=kind.sql,
            )
            for column, kind in missing.items()
        ]

    def _replaced_view(
        self, view: str, versions: str, table: TableChanges, found: dict[str, Relation]
    ) -> list[Sql]:
        present = found.get(view)
        columns = [column for column in found[versions].columns if column not in CONTROL_COLUMNS]
        if present is not None and present.kind != "v":
            raise TerminalError(
                f"{self._schema}.{view} is a table that the pipeline did not make; "
                f"rename it or give the route of {table.target} another target"
            )
        if present is not None and (
            set(present.columns) == set(columns) or table.target in self._lasting_views
        ):
            return []
        found[view] = Relation("v", dict.fromkeys(columns, ""))
        name = qualified(self._schema, view)
        create = sql(
            'create view {view} as select {columns} from {versions} where not "_deleted"',
            view=name,
            columns=listed(columns),
            versions=qualified(self._schema, versions),
        )
        # CREATE OR REPLACE VIEW refuses another set of columns.
        return [create] if present is None else [sql("drop view {view}", view=name), create]

    def _shape(self, table: TableChanges, found: dict[str, Relation]) -> Shape:
        _, versions, history = _names(table.target)
        relation = found[folded(history if table.mode == "history" else versions)]
        columns: dict[str, RedshiftType] = {}
        for name, kind in relation.columns.items():
            if name not in CONTROL_COLUMNS and (known := from_catalog(kind)) is not None:
                columns[name] = known
        for column in table.columns:
            _require_type(table, column.name, column.type, columns.get(folded(column.name)))
        return Shape(versions, history, columns, table.mode)


def _catalog_names(wanted: Mapping[str, RedshiftType], control: Mapping[str, Sql]) -> Columns:
    """The columns that a new table will have; their types are read back afterwards."""
    return dict.fromkeys([*wanted, *control], "")


def _names(target: str) -> tuple[str, str, str]:
    return target, target + VERSIONS_SUFFIX, target + HISTORY_SUFFIX


_VERSIONS_CONTROL = {"_version": sql("bigint not null"), "_deleted": sql("boolean not null")}
_HISTORY_CONTROL = {
    "_clause": sql("varchar(6) not null"),
    "_version": sql("bigint not null"),
    "_applied_at": sql("timestamp not null"),
}


def _create_table(
    schema: str,
    name: str,
    wanted: Mapping[str, RedshiftType],
    table: TableChanges,
    control: Mapping[str, Sql],
    keyed: bool,
) -> Sql:
    """One row a key where `keyed`; a history has many, and one without a key for each TRUNCATE."""
    key = [folded(column) for column in table.key]
    lines: list[Sql] = []
    for column, kind in wanted.items():
        required = sql(" not null") if keyed and column in key else sql("")
        lines.append(
            sql("{column} {kind}{required}", column=quoted(column), kind=kind.sql, required=required)
        )
    lines += [sql("{column} {kind}", column=quoted(column), kind=kind) for column, kind in control.items()]
    if keyed:
        lines.append(sql("primary key ({key})", key=listed(key)))
    return sql(
        "create table {table} ({lines}) {placement}",
        table=qualified(schema, name),
        lines=joined(lines),
        placement=placement(wanted, key[0], key if keyed else ["_version"]),
    )


def placement(columns: Mapping[str, RedshiftType], placed_by: str, sorted_by: list[str]) -> Sql:
    """Where rows lie: equal keys on one node, in the order that a merge looks them up."""
    usable = [name for name in sorted_by if name not in columns or columns[name].family not in _UNSORTED]
    order = sql(" sortkey ({columns})", columns=listed(usable)) if usable else sql("")
    if columns[placed_by].family in _UNSORTED:
        return sql("diststyle even{order}", order=order)
    return sql("diststyle key distkey ({column}){order}", column=quoted(placed_by), order=order)


def _require_type(table: TableChanges, name: str, postgres_type: str, present: RedshiftType | None) -> None:
    wanted = for_postgres(postgres_type)
    if present is None or not present.takes(wanted):
        has = present.sql if present is not None else "a type that the writer cannot fill"
        raise TerminalError(
            f"{table.target}.{name} is {postgres_type} at the source and {has} in Redshift, which cannot "
            "hold it; give the column a new name in the transform, or change the table in Redshift"
        )
