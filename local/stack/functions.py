"""The two Lambdas as the local Lambda service runs them: settings that the CDK stacks give them on AWS."""

from pathlib import Path

import msgspec

from local.emulator import ACCOUNT, REGION
from local.lambda_service.configuration import FunctionConfiguration, Schedule, ServiceConfiguration
from local.postgres import SUPERUSER
from local.stack.pace import Pace
from pgevents.settings import Connection, Connections

TRANSFORM = "pgevents-transform"
WRITER = "pgevents-redshift-writer"
TRANSFORM_HANDLER = "transform.handler.handle"
WRITER_HANDLER = "redshift_writer.handler.handle"
BUCKET = "pgevents"
DEAD_LETTERS = "pgevents-dead-letters"
HOST = "127.0.0.1"
COPY_ROLE = f"arn:aws:iam::{ACCOUNT}:role/pgevents-copy"

TRANSFORM_CONCURRENCY = 4
"""Without those that a source in shards has besides."""
WRITER_CONCURRENCY = 2
"""Fewer than on AWS, where each batch in flight has a writer: here each is a process of this machine, and an
event that finds none starts as soon as one is free."""


class Packages(msgspec.Struct, frozen=True):
    """The folders that the functions run from."""

    transform: Path
    writer: Path
    runtime: Path


class Databases(msgspec.Struct, frozen=True):
    """How the functions reach the databases."""

    sources: dict[str, Connection]
    sinks: dict[str, Connection]
    redshift: Connection


def connection(port: int, database: str) -> Connection:
    """A local database. The secret exists and its password is never asked for: the servers trust loopback."""
    return Connection(HOST, port, database, SUPERUSER, secret=secret_name(database), sslmode="disable")


def secret_name(database: str) -> str:
    """The secret that holds a database's user and password."""
    return f"pgevents/{database}"


def transform_environment(databases: Databases, pace: Pace) -> dict[str, str]:
    """What the transform Lambda reads its settings from."""
    connections = Connections(databases.sources, databases.sinks)
    return {
        "PGEVENTS_CONNECTIONS": msgspec.json.encode(connections).decode(),
        "PGEVENTS_BUCKET": BUCKET,
        "PGEVENTS_WRITER_FUNCTION": WRITER,
        "PGEVENTS_OVERDUE_SECONDS": f"{pace.overdue:g}",
        "PGEVENTS_MARGIN_SECONDS": f"{pace.margin:g}",
        "PGEVENTS_PULSE_SECONDS": f"{pace.pulse:g}",
    }


def writer_environment(databases: Databases) -> dict[str, str]:
    """What the redshift_writer Lambda reads its settings from."""
    return {
        "PGEVENTS_REDSHIFT": msgspec.json.encode(databases.redshift).decode(),
        "PGEVENTS_BUCKET": BUCKET,
        "PGEVENTS_COPY_ROLE": COPY_ROLE,
    }


def service_configuration(
    state: Path,
    port: int,
    aws: str,
    packages: Packages,
    databases: Databases,
    pace: Pace,
    shards_beside: int,
) -> ServiceConfiguration:
    """Both functions, where their results go, and the schedule of the sweep. `shards_beside` is how many
    shards all sources have beyond the first ones."""
    transform = FunctionConfiguration(
        name=TRANSFORM,
        package=str(packages.transform),
        handler=TRANSFORM_HANDLER,
        timeout_s=pace.transform_timeout,
        memory_mb=512,
        environment=transform_environment(databases, pace),
        reserved_concurrency=TRANSFORM_CONCURRENCY + shards_beside,
        retry_delays_s=pace.retries,
    )
    writer = FunctionConfiguration(
        name=WRITER,
        package=str(packages.writer),
        handler=WRITER_HANDLER,
        timeout_s=pace.writer_timeout,
        memory_mb=512,
        environment=writer_environment(databases),
        reserved_concurrency=WRITER_CONCURRENCY,
        retry_delays_s=pace.retries,
        on_success=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{TRANSFORM}",
        on_failure=f"arn:aws:sqs:{REGION}:{ACCOUNT}:{DEAD_LETTERS}",
    )
    return ServiceConfiguration(
        state=str(state),
        runtime=str(packages.runtime),
        functions=(transform, writer),
        schedules=(Schedule(every_s=pace.sweep, function=TRANSFORM, payload={"kind": "sweep"}),),
        port=port,
        region=REGION,
        account=ACCOUNT,
        aws_endpoint=aws,
        init_timeout_s=pace.imports,
    )
