"""The tables that the PostgreSQL sink writes: what each must look like, and how it comes to.

A target has up to three tables in the sink's schema:

<target>             the current state: key, columns, _version                    (modes mirror and both)
<target>_tombstone   the version at which a key was last deleted                  (modes mirror and both)
<target>_history     every version once: columns, _clause, _version               (modes history and both)

Missing tables and columns are made. A column of a type that could lose something is left alone and named: a
change of type rewrites the table under an exclusive lock, so a person picks the hour for it.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import msgspec
import psycopg
from psycopg import sql

from pgevents.batch import TableChanges
from pgevents.errors import TransientError

Cursor = psycopg.Cursor[tuple[object, ...]]

LONGEST_NAME = 63  # bytes; PostgreSQL would cut a longer name, and two targets might become one
RESERVED_COLUMNS = frozenset({"_version", "_clause", "_deleted_at"})
DDL_LOCK_TIMEOUT = "5s"  # an ALTER TABLE that waits makes every later reader of the table wait too

# Without a length these names mean a length of one, and a cast to them would cut.
UNSIZED = {
    "character": "bpchar",
    "character[]": "bpchar[]",
    "bit": "bit varying",
    "bit[]": "bit varying[]",
}
# Types that take each value of the first one exactly. Text takes everything, as it was printed.
WIDER = {
    "smallint": frozenset({"integer", "bigint", "numeric"}),
    "integer": frozenset({"bigint", "numeric"}),
    "bigint": frozenset({"numeric"}),
    "real": frozenset({"double precision"}),
    "text": frozenset({"character varying"}),
    "jsonb": frozenset({"json"}),
}

# An enum, a domain or a row type of the target is not the source's one, even under the same name: text.
RESOLVE_TYPES = """
select
    wanted.name,
    case
        when coalesce(element.typtype, found.typtype) in ('b', 'r', 'm') then format_type(found.oid, null)
        else 'text'
    end
from unnest(%s::text[]) as wanted (name)
left join pg_catalog.pg_type as found on found.oid = to_regtype(wanted.name)
left join pg_catalog.pg_type as element on element.oid = found.typelem and found.typcategory = 'A'
"""

# Asked for every batch, and without a join: most of what it takes is its planning.
READ_SHAPES = """
select
    tables.relname,
    array(
        select array[
            columns.attname,
            format_type(columns.atttypid, null), format_type(columns.atttypid, columns.atttypmod)
        ]
        from pg_catalog.pg_attribute as columns
        where columns.attrelid = tables.oid and columns.attnum > 0 and not columns.attisdropped
    )
from pg_catalog.pg_class as tables
where
    tables.relnamespace = (select schemas.oid from pg_catalog.pg_namespace as schemas where nspname = %s)
    and tables.relname = any(%s) and tables.relkind in ('r', 'p')
"""


class ColumnShape(msgspec.Struct, frozen=True):
    """A column as it stands: its type without a modifier, and as declared (numeric, numeric(12,2))."""

    type: str
    declared: str

    def is_modified(self) -> bool:
        """Whether a cast to the declared type could cut or round."""
        return UNSIZED.get(self.declared, self.declared) != self.type


Shape = Mapping[str, ColumnShape]


class WantedTable(msgspec.Struct, frozen=True):
    """A table that must exist: columns and types, and the constraint that tells its rows."""

    name: str
    columns: tuple[tuple[str, str], ...]
    unique: tuple[str, ...]
    is_primary: bool


def quoted(*names: str) -> sql.SQL:
    """A quoted name, qualified when there are several, for a statement that is run with parameters.

    psycopg's own Identifier leaves a percent sign as it is, which would then be taken for a placeholder.
    """
    return sql.SQL(sql.Identifier(*names).as_string(None).replace("%", "%%"))


def tombstone_name(target: str) -> str:
    """The table that remembers deletions from a target."""
    return f"{target}_tombstone"


def history_name(target: str) -> str:
    """The table that keeps every version of a target's rows."""
    return f"{target}_history"


class Tables:
    """The tables of one schema, as far as one connection has seen them."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._shapes: dict[str, Shape] = {}
        self._types: dict[str, str] = {}
        self._statements: dict[object, bytes] = {}

    def forget(self) -> None:
        """Look at everything anew: a transaction that may have changed a table did not commit."""
        self._shapes.clear()
        self._types.clear()
        self._statements.clear()

    def shape(self, name: str) -> Shape:
        """The columns of a table that `fit` has seen, by name."""
        return self._shapes[name]

    def statement(self, of: object, made: Callable[[], sql.Composable]) -> bytes:
        """The text of a statement, made once for `of` (what it depends on) and as long as no table changes.

        Making it takes longer than running it, for a batch of some rows.
        """
        if of not in self._statements:
            self._statements[of] = made().as_bytes(None)
        return self._statements[of]

    def fit(self, cursor: Cursor, changed: Iterable[TableChanges]) -> None:
        """Make every table that these changes need, and add the columns that are missing.

        Runs in the caller's transaction, which holds the lock of each target. Raises TransientError, with
        the statement that would help, for a column whose type could lose something.
        """
        changed = list(changed)
        self._resolve(cursor, {column.type for table in changed for column in table.columns})
        wanted = [made for table in changed for made in self._wanted(table)]
        self._hold_still(cursor, [made.name for made in wanted])
        if all(self._is_fit(made) for made in wanted):
            return
        for made in wanted:
            if made.name not in self._shapes:
                self._create(cursor, made)
            else:
                self._alter(cursor, made)
            self._read(cursor, [made.name])

    def _hold_still(self, cursor: Cursor, names: list[str]) -> None:
        """Look at the tables that there are under a lock that nobody can alter them behind.

        What an earlier batch has seen tells which tables to lock and no more: a column that has since been
        given a length or a scale would cut or round without a word.
        """
        if not any(name in self._shapes for name in names):
            self._read(cursor, names)
        held: set[str] = set()
        while present := [name for name in names if name in self._shapes and name not in held]:
            cursor.execute(self.statement(("lock", *present), partial(self._lock, present)), [])
            held.update(present)
            self._read(cursor, names)

    def _lock(self, names: list[str]) -> sql.Composed:
        tables = sql.SQL(", ").join(quoted(self._schema, name) for name in names)
        return sql.SQL("lock table {} in row exclusive mode").format(tables)

    def _resolve(self, cursor: Cursor, names: set[str]) -> None:
        unknown = sorted(names - self._types.keys())
        if unknown:
            for name, resolved in cursor.execute(RESOLVE_TYPES, [unknown]).fetchall():
                self._types[str(name)] = UNSIZED.get(str(resolved), str(resolved))

    def _wanted(self, table: TableChanges) -> list[WantedTable]:
        _refuse_names(table)
        columns = tuple((column.name, self._types[column.type]) for column in table.columns)
        key = tuple(column for column in columns if column[0] in table.key)
        version = ("_version", "bigint")
        wanted = []
        if table.mode != "history":
            deleted = ("_deleted_at", "timestamp with time zone")
            tombstones = (*key, version, deleted)
            wanted += [
                WantedTable(table.target, (*columns, version), table.key, is_primary=True),
                WantedTable(tombstone_name(table.target), tombstones, table.key, is_primary=True),
            ]
        if table.mode != "mirror":
            clause = ("_clause", "text")
            unique = (*table.key, "_version")
            name = history_name(table.target)
            wanted.append(WantedTable(name, (*columns, clause, version), unique, is_primary=False))
        return wanted

    def _is_fit(self, made: WantedTable) -> bool:
        shape = self._shapes.get(made.name, {})
        return all(name in shape and holds(shape[name].type, type_) for name, type_ in made.columns)

    def _read(self, cursor: Cursor, names: list[str]) -> None:
        rows = cursor.execute(READ_SHAPES, [self._schema, names]).fetchall()
        read = {str(table): _shape(msgspec.convert(columns, list[list[str]])) for table, columns in rows}
        if any(self._shapes.get(name) != shape for name, shape in read.items()):
            self._statements.clear()
        self._shapes |= read

    def _create(self, cursor: Cursor, made: WantedTable) -> None:
        # History keeps truncations too, and those have no key: its constraint is not a primary key.
        statement = sql.SQL("create table {} ({}, {} ({}))").format(
            quoted(self._schema, made.name),
            sql.SQL(", ").join(_declaration(name, type_) for name, type_ in made.columns),
            sql.SQL("primary key" if made.is_primary else "unique"),
            sql.SQL(", ").join(map(quoted, made.unique)),
        )
        cursor.execute(statement, [])

    def _alter(self, cursor: Cursor, made: WantedTable) -> None:
        shape = self._shapes[made.name]
        missing = [column for column in made.columns if column[0] not in shape]
        for name, type_ in made.columns:
            if name in shape and not holds(shape[name].type, type_):
                raise TransientError(_conflict(self._schema, made.name, name, shape[name].type, type_))
        if missing:
            # Pins a connection of a proxy, which is why it stands here only: columns are seldom added.
            cursor.execute("select set_config('lock_timeout', %s, true)", [DDL_LOCK_TIMEOUT])
            additions = [sql.SQL("add column {}").format(_declaration(*column)) for column in missing]
            statement = sql.SQL("alter table {} {}")
            table = quoted(self._schema, made.name)
            cursor.execute(statement.format(table, sql.SQL(", ").join(additions)), [])


def holds(held: str, type_: str) -> bool:
    """Whether a column of type `held` takes each value of `type_` exactly."""
    return held in (type_, "text") or held in WIDER.get(type_, ())


def _shape(columns: list[list[str]]) -> Shape:
    """A table's columns as READ_SHAPES found them: name, bare type, type as declared."""
    return {name: ColumnShape(UNSIZED.get(type_, type_), declared) for name, type_, declared in columns}


def _declaration(name: str, type_: str) -> sql.Composed:
    # Rows from before the sink's time have version 0, so that any change is newer.
    rest = {"_version": " not null default 0", "_deleted_at": " not null default now()"}.get(name, "")
    return sql.SQL("{} {}{}").format(quoted(name), sql.SQL(type_), sql.SQL(rest))


def _refuse_names(table: TableChanges) -> None:
    longest = max((tombstone_name(table.target), history_name(table.target)), key=len)
    if len(longest.encode()) > LONGEST_NAME:
        raise TransientError(
            f"the target name {table.target} is too long: {longest} has over {LONGEST_NAME} bytes;"
            " give the table a shorter target in pipeline.toml"
        )
    reserved = RESERVED_COLUMNS & {column.name for column in table.columns}
    if reserved:
        raise TransientError(
            f"target {table.target} has a column {min(reserved)}, a name the sink keeps for itself;"
            " leave it out or give it another name in the table's transform"
        )


def _conflict(schema: str, table: str, column: str, held: str, wanted: str) -> str:
    return (
        f"column {column} of {schema}.{table} is {held}, its changes are {wanted}, and it could not take each"
        f' of them exactly; run: alter table "{schema}"."{table}" alter column "{column}" type {wanted}'
    )
