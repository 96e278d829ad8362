"""Where a running pipeline listens: endpoints.json in its state folder."""

import shlex
from collections.abc import Mapping
from pathlib import Path

import msgspec
import psycopg

from pgevents.errors import InputError

DEFAULT_STATE = Path(__file__).parents[1] / ".pgevents"


class Redshift(msgspec.Struct, frozen=True):
    """The Redshift endpoint."""

    dsn: str


class Endpoints(msgspec.Struct, frozen=True):
    """Every part of a running pipeline: DSNs and URLs.

    `sinks` are those of type postgres, by name; `postgres` is the first of them, "" without any.
    `environment` is that of infra/environments.py when the pipeline runs on AWS, empty when it does here.
    """

    sources: dict[str, str]
    postgres: str
    redshift: Redshift
    lambda_: str = msgspec.field(name="lambda")
    console: str
    aws: str = ""
    bucket: str = ""
    environment: str = ""
    sinks: dict[str, str] = {}

    def source(self, name: str) -> str:
        """The DSN of a source. Raises InputError when it was added since this was written."""
        return _of("source", name, self.sources)

    def sink(self, name: str) -> str:
        """The DSN of a PostgreSQL sink. Raises InputError when it was added since this was written."""
        return _of("sink", name, self.sinks)


def state_folder(environment: str) -> Path:
    """Where `./pgevents connect` leaves what leads to an environment on AWS."""
    return DEFAULT_STATE.with_name(f"{DEFAULT_STATE.name}-{environment}")


def state_option(state: Path) -> str:
    """What a command takes besides to work on the same pipeline: nothing for this machine's usual one."""
    return "" if state.absolute() == DEFAULT_STATE else f" --state {shlex.quote(str(state))}"


def start(state: Path) -> str:
    """The command that makes a pipeline run with this state folder."""
    environment = state.name.removeprefix(f"{DEFAULT_STATE.name}-")
    if environment != state.name:
        return f"./pgevents connect {environment}"
    return f"./pgevents up{state_option(state)}"


def read_endpoints(state: Path) -> Endpoints:
    """Raises InputError when nothing runs with this state folder."""
    path = state / "endpoints.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Endpoints)
    except FileNotFoundError as error:
        raise InputError(
            f"nothing runs with the state folder {state}; start it with {start(state)}"
        ) from error
    except OSError as error:
        raise InputError(f"--state {state} cannot be read: {error.strerror}; name a state folder") from error
    except msgspec.MsgspecError as error:
        raise InputError(f"{path}: {error}; stop with ./pgevents down and start again") from error


def connect(name: str, dsn: str) -> psycopg.Connection:
    """A connection to a source or a sink in autocommit mode; InputError when it cannot be reached."""
    try:
        return psycopg.connect(dsn, autocommit=True, connect_timeout=5, application_name="pgevents ops")
    except psycopg.OperationalError as error:
        what = str(error).splitlines()[0]
        raise InputError(f"{name} cannot be reached: {what}; if it has stopped, start it again") from error


def _of(kind: str, name: str, dsns: Mapping[str, str]) -> str:
    if name not in dsns:
        raise InputError(
            f"the state folder does not say where {kind} {name} is; "
            "start it, or connect, with this pipeline.toml"
        )
    return dsns[name]
