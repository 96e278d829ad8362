"""Installs the stand-in of the RDS extensions into a database, and makes it fail on purpose."""

import shlex
import sys
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import psycopg

from pgevents.errors import InputError

Fault = Literal["error", "hang", "missing"]
"""error: every invoke fails at once. hang: it fails when its request time-out is over. missing: as if the
extension had been dropped."""

FAULTS: tuple[Fault, ...] = get_args(Fault)
SQL_FILES = ("aws_commons.sql", "aws_lambda.sql")
HERE = Path(__file__).parent


def install(connection: psycopg.Connection[Any], lambda_url: str) -> None:
    """Makes or renews both schemas, and has `aws_lambda.invoke` call the Invoke API at `lambda_url`.

    Needs a superuser's connection; runs in one transaction. Raises InputError when the URL is not http://HOST:PORT.
    """
    url = urlsplit(lambda_url)
    if url.scheme != "http" or not url.hostname or not url.port:
        raise InputError(f"{lambda_url!r} is no local Lambda service's URL; expected http://HOST:PORT")
    # The base interpreter itself, without site-packages, starts in half the time of a virtual environment's.
    program = shlex.join([str(Path(sys.executable).resolve()), "-I", "-S", str(HERE / "invoke_program.py")])
    with connection.transaction():
        for name in SQL_FILES:
            connection.execute((HERE / name).read_bytes())
        connection.execute(
            """insert into aws_lambda_local.endpoint (host, port, program) values (%s, %s, %s)
               on conflict (only_row) do update
               set host = excluded.host, port = excluded.port, program = excluded.program""",
            [url.hostname, url.port, program],
        )


def uninstall(connection: psycopg.Connection[Any]) -> None:
    """Takes both schemas away, as `drop extension aws_lambda, aws_commons cascade` would."""
    with connection.transaction():
        connection.execute("drop schema if exists aws_lambda, aws_lambda_local, aws_commons cascade")


def inject(connection: psycopg.Connection[Any], fault: Fault | None) -> None:
    """Makes every later invoke in the database fail in a certain way; None ends that."""
    connection.execute("update aws_lambda_local.endpoint set fault = %s", [fault])
