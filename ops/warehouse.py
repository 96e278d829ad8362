"""A session in Redshift for an operator, from a DSN."""

from pathlib import Path

import msgspec
import psycopg.conninfo

from pgevents.errors import InputError
from pgevents.settings import Connection
from redshift_writer.connect import Session, open_session

_PORT = 5439


def open_warehouse(dsn: str) -> Session:
    """With the writer's own driver, which alone speaks to Redshift.

    `dsn` is libpq's; its `sslmode` is disable (what it is without one), verify-ca or verify-full. A password
    is taken from it or from the file that its `passfile` names. Raises InputError for a DSN that is none,
    TransientError when Redshift cannot be reached.
    """
    try:
        parts = {name: str(value) for name, value in psycopg.conninfo.conninfo_to_dict(dsn).items()}
        settings = Connection(
            parts["host"],
            int(parts.get("port", _PORT)),
            parts["dbname"],
            parts["user"],
            secret="the DSN" if {"password", "passfile"} & parts.keys() else "",
            sslmode=parts.get("sslmode", "disable"),
        )
    except (psycopg.Error, KeyError, ValueError) as error:
        raise InputError(f"Redshift's DSN: {error}; expected postgresql://user@host:port/database") from error
    return open_session(settings, lambda _: _secret(settings, parts))


def _secret(settings: Connection, parts: dict[str, str]) -> str:
    """As Secrets Manager would have it."""
    password = parts.get("password") or password_in(Path(parts["passfile"]), settings)
    return msgspec.json.encode({"username": settings.user, "password": password}).decode()


def password_in(passfile: Path, settings: Connection) -> str:
    """The password that a file in libpq's format has for a connection. Raises InputError when it has none."""
    wanted = [settings.host, str(settings.port), settings.database, settings.user]
    try:
        lines = passfile.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{passfile}: {error.strerror}; connect again") from error
    for line in lines:
        fields = _fields(line)
        if len(fields) == 5 and all(
            field in ("*", want) for field, want in zip(fields[:4], wanted, strict=True)
        ):
            return fields[4]
    raise InputError(f"{passfile}: has no password for {':'.join(wanted)}; connect again")


def _fields(line: str) -> list[str]:
    """A line's fields: separated by colons, a backslash before one that is meant, and before itself."""
    fields, escaped = [""], False
    for character in line:
        if escaped or character not in "\\:":
            fields[-1] += character
            escaped = False
        elif character == "\\":
            escaped = True
        else:
            fields.append("")
    return fields
