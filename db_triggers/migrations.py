"""The schema pgevents in a source database, brought to this version of the project.

Migrations hold state and never change once released; functions are created or replaced as a whole. Both run
in the caller's transaction, so that a database is either at the old version or at the new one.
"""

import re
from pathlib import Path

import psycopg
from psycopg import sql

from pgevents.errors import InputError

FOLDER = Path(__file__).parent
_FILE_NAME = re.compile(r"^(?P<number>\d{4})_[a-z0-9_]+\.sql$")


def migrate(connection: psycopg.Connection) -> list[str]:
    """Applies the migrations that the database lacks, then every function; returns the names applied.

    Raises InputError when the database was migrated by a newer version of the project.
    """
    connection.execute("create schema if not exists pgevents")
    connection.execute("revoke all on schema pgevents from public")
    connection.execute(
        "create table if not exists pgevents.migration"
        " (name text primary key, applied_at timestamptz not null default now())"
    )
    released = _released()
    present = {row[0] for row in connection.execute("select name from pgevents.migration").fetchall()}
    if unknown := sorted(present - set(released)):
        raise InputError(
            f"the database {connection.info.dbname} holds migration {unknown[-1]}, "
            "which this version does not know; "
            "use the version of the project that installed it, or a later one"
        )
    missing = [name for name in released if name not in present]
    for name in missing:
        # The row first: of two installers that got past the lock, the second fails here and changes nothing.
        connection.execute("insert into pgevents.migration (name) values (%s)", (name,))
        _run(connection, FOLDER / "migrations" / name)
    create_functions(connection)
    return missing


def create_functions(connection: psycopg.Connection) -> None:
    """Creates or replaces every function of db_triggers/functions, whose folders say what they are for."""
    # A function may be created before another one that it calls.
    connection.execute("set local check_function_bodies = off")
    for path in function_files():
        _run(connection, path)


def function_files() -> list[Path]:
    """The files of db_triggers/functions, one function each, by name."""
    return sorted((FOLDER / "functions").rglob("*.sql"), key=lambda path: path.name)


def _released() -> list[str]:
    return sorted(path.name for path in (FOLDER / "migrations").iterdir() if _FILE_NAME.match(path.name))


def _run(connection: psycopg.Connection, path: Path) -> None:
    connection.execute(sql.SQL(path.read_text(encoding="utf-8")))
