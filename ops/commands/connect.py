"""`./pgevents connect ENV`: a state folder for an environment on AWS, and its tunnels, until Ctrl-C.

Meanwhile every command that takes --state works on that environment.
"""

import argparse
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.exceptions
import msgspec

from infra.environments import chosen
from infra.names import Names, construct_id
from infra.settings import Environment, ExistingWarehouse
from ops import cdk
from ops.endpoints import state_folder
from ops.remote.folder import Login, written
from ops.remote.places import Places, places, read_outputs
from ops.remote.tunnels import Tunnel, commands, free_ports, opened
from pgevents.config import load
from pgevents.errors import InputError
from pgevents.settings import Connection

SUMMARY = "Reach an environment on AWS from here, for status, replay and the other commands"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("environment", metavar="ENV", help="an environment of infra/environments.py")
    parser.add_argument("--state", type=Path, help="the state folder to write (.pgevents-ENV)")
    parser.add_argument(
        "--direct", action="store_true", help="without tunnels: this machine reaches the databases itself"
    )


def run(args: argparse.Namespace) -> int:
    import boto3

    [environment] = chosen(args.environment)
    folder = args.state or state_folder(environment.name)
    found = _places(environment, boto3.client)
    logins = _logins(found, environment.region, boto3.client)
    tunnels = _tunnels(found, args.direct)
    open_by = commands(tunnels, found.bastion, found.address, environment.region) if tunnels else []
    # Otherwise a terminal that is closed would leave tunnels and passwords behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    ports = {(tunnel.host, tunnel.port): tunnel.local for tunnel in tunnels}
    with opened(tunnels, open_by), written(folder, environment.name, found, logins, ports):
        print(f"Connected to {environment.name}. In another terminal:", flush=True)
        for command in ("status", "doctor " + environment.name, "dead-letters list"):
            print(f"  ./pgevents {command} --state '{folder}'", flush=True)
        print("Ctrl-C ends it", flush=True)
        while True:
            signal.pause()


def _end(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _places(environment: Environment, client: Callable[..., Any]) -> Places:
    there = {
        name: Connection(it.host, it.port, it.database, it.user, secret=it.secret_arn, sslmode=it.sslmode)
        for name, it in environment.existing_databases.items()
    }
    warehouse = None
    if isinstance(environment.warehouse, ExistingWarehouse):
        it = environment.warehouse
        warehouse = Connection(it.host, it.port, it.database, it.user, secret=it.secret_arn)
    outputs = read_outputs(client, environment.region, environment.name)
    pipeline = load(cdk.PROJECT / "pipeline.toml")
    return places(pipeline, outputs, there, warehouse, Names.admin, construct_id)


def _logins(found: Places, region: str, client: Callable[..., Any]) -> dict[str, Login]:
    """What every database's secret holds. Raises InputError for one that may not be read."""
    secrets = client("secretsmanager", region_name=region)
    logins = {}
    for name in {each.secret for each in found.all()}:
        try:
            text = secrets.get_secret_value(SecretId=name)["SecretString"]
            logins[name] = msgspec.json.decode(text, type=Login)
        except (
            botocore.exceptions.ClientError,
            botocore.exceptions.BotoCoreError,
            msgspec.MsgspecError,
        ) as error:
            raise InputError(f"the secret {name} cannot be read: {error}; ask for the right to") from error
    return logins


def _tunnels(found: Places, direct: bool) -> list[Tunnel]:
    if direct:
        return []
    if not found.bastion:
        raise InputError(
            "there is no bastion to go through; say --direct in a network that reaches the databases"
        )
    ends = list(dict.fromkeys((each.host, each.port) for each in found.all()))
    return [Tunnel(local, *end) for local, end in zip(free_ports(len(ends)), ends, strict=True)]
