"""Connections of the transform Lambda, kept over warm invocations."""

import json
import os
from collections.abc import Callable

import psycopg

from pgevents.errors import TransientError
from pgevents.settings import Connection

SecretReader = Callable[[str], str]

_CONNECT_SECONDS = 5
# What the outbox is printed with; a key's shard follows from how it is printed (shard_sql). And a drain that
# is frozen or cut off must not keep its lock: the server ends a session that says nothing. Each of its
# statements looks at what has committed by then. What is handed on must be on disk, whatever the database's
# default is: when a batch is in the ledger for good, then so is all that was committed before it. And nothing
# is worth compiling: where the server has a compiler, to open a window of 200 events took it seconds, for
# milliseconds of work. Only for sources: SET pins a proxy's connection, which the drain's lock does anyway.
PULSE_SECONDS = int(os.environ.get("PGEVENTS_PULSE_SECONDS", "60"))
SOURCE_SESSION = f"""
select
    set_config('datestyle', 'ISO', false), set_config('timezone', 'UTC', false),
    set_config('intervalstyle', 'iso_8601', false), set_config('bytea_output', 'hex', false),
    set_config('extra_float_digits', '1', false),
    set_config('default_transaction_isolation', 'read committed', false),
    set_config(
        'synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'local'), false
    ),
    set_config('jit', 'off', false),
    set_config('idle_session_timeout', '{PULSE_SECONDS}s', false),
    set_config('idle_in_transaction_session_timeout', '{PULSE_SECONDS}s', false)
"""


class Connections:
    """Opens each database once and again when the connection has died."""

    def __init__(self, read_secret: SecretReader, read_token: Callable[[Connection], str]) -> None:
        self._read_secret = read_secret
        self._read_token = read_token
        self._open: dict[Connection, psycopg.Connection] = {}

    def get(self, settings: Connection, session: str = "") -> psycopg.Connection:
        """A connection in autocommit mode that answered just now. `session` is run once when it is opened.

        Raises TransientError when the database cannot be reached.
        """
        present = self._open.get(settings)
        if present is not None and _answers(present):
            return present
        try:
            self._open[settings] = self._connect(settings)
            if session:
                self._open[settings].execute(session)
        except psycopg.OperationalError as error:
            raise TransientError(
                f"cannot reach {settings.host}:{settings.port}/{settings.database}: {error}"
            ) from error
        return self._open[settings]

    def _connect(self, settings: Connection) -> psycopg.Connection:
        user, password = self._credentials(settings)
        return psycopg.connect(
            host=settings.host,
            port=settings.port,
            dbname=settings.database,
            user=user,
            password=password,
            sslmode=settings.sslmode,
            connect_timeout=_CONNECT_SECONDS,
            application_name="pgevents",
            client_encoding="utf8",
            autocommit=True,
            prepare_threshold=None,
        )

    def _credentials(self, settings: Connection) -> tuple[str, str | None]:
        if settings.iam:
            return settings.user, self._read_token(settings)
        if settings.secret:
            secret = json.loads(self._read_secret(settings.secret))
            return secret["username"], secret["password"]
        return settings.user, None


def _answers(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("select 1")
    except psycopg.OperationalError:
        connection.close()
        return False
    return True
