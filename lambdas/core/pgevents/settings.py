"""What a Lambda is told by its environment, read once at cold start."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from pgevents.errors import InputError

T = TypeVar("T")


class Connection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to reach a database. `secret` names a Secrets Manager secret that holds username and password;
    with `iam` the password is a short-lived token instead. Without either the server asks for no password."""

    host: str
    port: int
    database: str
    user: str
    secret: str = ""
    iam: bool = False
    sslmode: str = "prefer"


class Connections(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The databases of the transform Lambda: sources and PostgreSQL sinks by their names in pipeline.toml."""

    sources: dict[str, Connection]
    sinks: dict[str, Connection] = {}


class TransformSettings(msgspec.Struct, frozen=True):
    """The environment of the transform Lambda. `function` is its own name, which Lambda itself sets."""

    connections: Connections
    bucket: str
    writer_function: str
    function: str = ""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "TransformSettings":
        """Raises InputError naming the variable that is missing or wrong."""
        return cls(
            connections=_json(environment, "PGEVENTS_CONNECTIONS", Connections),
            bucket=_text(environment, "PGEVENTS_BUCKET"),
            writer_function=_text(environment, "PGEVENTS_WRITER_FUNCTION"),
            function=environment.get("AWS_LAMBDA_FUNCTION_NAME", ""),
        )


class WriterSettings(msgspec.Struct, frozen=True):
    """The environment of the redshift_writer Lambda.

    Large batches go through `bucket`, where the warehouse reads them with the role `copy_role` (its ARN);
    without a role they do not.
    """

    redshift: Connection
    bucket: str = ""
    copy_role: str = ""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "WriterSettings":
        """Raises InputError naming the variable that is missing or wrong."""
        copy_role = environment.get("PGEVENTS_COPY_ROLE", "")
        return cls(
            redshift=_json(environment, "PGEVENTS_REDSHIFT", Connection),
            bucket=_text(environment, "PGEVENTS_BUCKET") if copy_role else "",
            copy_role=copy_role,
        )


def _text(environment: Mapping[str, str], name: str) -> str:
    try:
        return environment[name]
    except KeyError as error:
        raise InputError(f"environment variable {name} is not set") from error


def _json(environment: Mapping[str, str], name: str, expected: type[T]) -> T:
    try:
        return msgspec.json.decode(_text(environment, name), type=expected)
    except msgspec.MsgspecError as error:
        raise InputError(f"environment variable {name}: {error}") from error
