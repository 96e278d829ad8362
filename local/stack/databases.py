"""A source's database: made with its schema, given aws_lambda, and captured."""

from pathlib import Path

import psycopg
from psycopg import sql

from db_triggers.installer import Wake, install
from local import aws_extensions
from local.emulator import REGION
from local.postgres import PostgresServer
from local.stack.functions import TRANSFORM
from pgevents.config import Pipeline
from pgevents.errors import InputError

SCHEMAS = Path("local/databases")
"""Where a project keeps the tables of its local sources, a file a source."""


def make_source(server: PostgresServer, name: str, project: Path) -> bool:
    """Makes a source's database with its tables, whole or not at all; False when it is there.

    Raises InputError naming the schema's file when it does not run.
    """
    if server.has_database(name):
        return False
    unfinished = f"{name}_unfinished"
    server.drop_database(unfinished)
    server.create_database(unfinished)
    schema = project / SCHEMAS / f"{name}.sql"
    if schema.exists():
        _run_schema(server.dsn(unfinished), schema)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        rename = sql.SQL("alter database {} rename to {}")
        connection.execute(rename.format(sql.Identifier(unfinished), sql.Identifier(name)))
    return True


def capture(server: PostgresServer, name: str, pipeline: Pipeline, lambda_url: str) -> None:
    """Installs aws_lambda and the triggers. Raises InputError, with nothing changed, when a check fails."""
    with psycopg.connect(server.dsn(name), autocommit=True) as connection:
        aws_extensions.install(connection, lambda_url)
        try:
            install(connection, name, pipeline.sources[name], Wake(TRANSFORM, REGION), pipeline.routes)
        except InputError as error:
            raise InputError(f"{error} (the local schema: {SCHEMAS / name}.sql)") from error


def _run_schema(dsn: str, schema: Path) -> None:
    try:
        with psycopg.connect(dsn) as connection:
            connection.execute(schema.read_bytes())
    except psycopg.Error as error:
        raise InputError(f"{schema}: {str(error).splitlines()[0]}; correct it and start again") from error
