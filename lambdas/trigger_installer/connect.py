"""The connection that installs: to the source itself, as the owner of what is captured."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from pgevents.errors import TransientError
from pgevents.settings import Connection
from trigger_installer.failures import NamingCursor

SecretReader = Callable[[str], str]

_CONNECT_SECONDS = 10


@contextmanager
def connect(settings: Connection, read_secret: SecretReader) -> Iterator[psycopg.Connection]:
    """A connection in autocommit mode, closed at the end.

    Raises TransientError when the database cannot be reached.
    """
    user, password = settings.user, None
    if settings.secret:
        secret = json.loads(read_secret(settings.secret))
        user, password = secret["username"], secret["password"]
    try:
        connection = psycopg.connect(
            host=settings.host,
            port=settings.port,
            dbname=settings.database,
            user=user,
            password=password,
            sslmode=settings.sslmode,
            connect_timeout=_CONNECT_SECONDS,
            application_name="pgevents trigger_installer",
            client_encoding="utf8",
            autocommit=True,
            cursor_factory=NamingCursor,
        )
    except psycopg.OperationalError as error:
        where = f"{settings.host}:{settings.port}/{settings.database}"
        raise TransientError(f"cannot reach {where} as {user}: {' '.join(str(error).split())}") from error
    with connection:
        yield connection
