"""A state folder of an environment on AWS: endpoints.json, and the passwords that it points to.

Both last as long as the connection, and so does the folder. What alone may stay in it is the position of a
reconcile that was interrupted, by the end of the connection for example: the next one goes on from there.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from psycopg.conninfo import make_conninfo

from ops.endpoints import Endpoints, Redshift
from ops.remote.places import Places
from pgevents.errors import InputError
from pgevents.settings import Connection

Ports = Mapping[tuple[str, int], int]
"""The port of this machine by host and port behind the tunnel."""
_PASSWORDS = "passwords"  # noqa: S105  the file's name


class Login(msgspec.Struct, frozen=True):
    """What a secret holds."""

    username: str
    password: str


@contextlib.contextmanager
def written(
    folder: Path,
    environment: str,
    places: Places,
    logins: Mapping[str, Login],
    ports: Ports,
) -> Iterator[Endpoints]:
    """The folder is there within, for this user alone, and goes at the end if nothing else is in it.

    `logins` are by the secrets' names, `ports` the local ends of the tunnels by what they lead to; what has
    none is reached directly. Raises InputError when something else uses the folder.
    """
    file, passwords = folder / "endpoints.json", (folder / _PASSWORDS).resolve()
    if file.exists():
        raise InputError(f"{file} is there: another connection uses it; end that, or choose another --state")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    near = {each: _near(each, logins[each.secret], ports) for each in places.all()}
    try:
        lines = (_line(each, logins[far.secret].password) for far, each in near.items())
        _private(passwords, "".join(lines))
        dsns = {far: _dsn(each, passwords) for far, each in near.items()}
        sinks = {name: dsns[far] for name, far in places.sinks.items()}
        endpoints = Endpoints(
            sources={name: dsns[far] for name, far in places.sources.items()},
            postgres=next(iter(sinks.values()), ""),
            redshift=Redshift(dsns[places.redshift]),
            lambda_="",
            console="",
            bucket=places.bucket,
            environment=environment,
            sinks=sinks,
        )
        _private(file, msgspec.json.encode(endpoints).decode())
        yield endpoints
    finally:
        for path in (file, passwords):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something is left in it
            folder.rmdir()


def _near(far: Connection, login: Login, ports: Ports) -> Connection:
    """The same database as this machine reaches it."""
    local = ports.get((far.host, far.port))
    if local is None:
        return msgspec.structs.replace(far, user=login.username)
    return msgspec.structs.replace(far, host="127.0.0.1", port=local, user=login.username)


def _line(connection: Connection, password: str) -> str:
    """In libpq's format, where a backslash stands before a colon and before itself."""
    fields = (connection.host, str(connection.port), connection.database, connection.user, password)
    return ":".join(field.replace("\\", "\\\\").replace(":", "\\:") for field in fields) + "\n"


def _dsn(connection: Connection, passwords: Path) -> str:
    return make_conninfo(
        host=connection.host,
        port=connection.port,
        dbname=connection.database,
        user=connection.user,
        sslmode=connection.sslmode,
        passfile=str(passwords),
    )


def _private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text, encoding="utf-8")
