"""Where the databases of an environment are: told by its stacks' outputs, or there already."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import botocore.exceptions
import msgspec

from pgevents.config import Pipeline, PostgresSink
from pgevents.errors import InputError
from pgevents.settings import Connection

Outputs = Mapping[str, str]
_POSTGRES, _REDSHIFT = 5432, 5439
WAREHOUSE_DATABASE = "pgevents"


class Places(msgspec.Struct, frozen=True):
    """How each database is reached from inside the network, each with its secret, and the bastion.

    `bastion` is an instance, `address` its public one if it has any; both are empty without a bastion.
    """

    sources: dict[str, Connection]
    sinks: dict[str, Connection]
    redshift: Connection
    bucket: str
    bastion: str
    address: str

    def all(self) -> Iterator[Connection]:
        """Every database."""
        yield from self.sources.values()
        yield from self.sinks.values()
        yield self.redshift


def read_outputs(client: Callable[..., Any], region: str, environment: str) -> Outputs:
    """The outputs of an environment's stacks, all together. Raises InputError when AWS does not tell."""
    found: dict[str, str] = {}
    try:
        cloudformation = client("cloudformation", region_name=region)
        for stack in ("network", "databases", "warehouse", "pipeline"):
            found |= _stack(cloudformation, f"pgevents-{environment}-{stack}")
    except botocore.exceptions.NoCredentialsError as error:
        raise InputError("no AWS credentials; log in (aws sso login, or AWS_PROFILE)") from error
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        raise InputError(f"AWS does not tell where {environment} is: {error}") from error
    if not found:
        raise InputError(
            f"there are no stacks pgevents-{environment}-* in this account and {region}; "
            f"./pgevents deploy {environment}, or log in to the right account"
        )
    return found


def _stack(cloudformation: Any, name: str) -> Iterator[tuple[str, str]]:
    """Nothing for a stack that was not deployed: what it would hold was there already."""
    try:
        [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except botocore.exceptions.ClientError as error:
        if "does not exist" in str(error):
            return
        raise
    for each in stack.get("Outputs", []):
        yield each["OutputKey"], each["OutputValue"]


def places(
    pipeline: Pipeline,
    outputs: Outputs,
    there: Mapping[str, Connection],
    warehouse: Connection | None,
    user: str,
    construct_id: Callable[[str], str],
) -> Places:
    """Raises InputError naming what the outputs do not tell.

    `there` and `warehouse` were there already; `user` is the administrator of what was made, `construct_id`
    how a name of pipeline.toml begins its outputs.
    """

    def database(name: str) -> Connection:
        if name in there:
            return there[name]
        host, secret = (_told(outputs, f"{construct_id(name)}{what}") for what in ("Endpoint", "Secret"))
        return Connection(host, _POSTGRES, name, user, secret=secret, sslmode="require")

    redshift = warehouse or Connection(
        _told(outputs, "WarehouseEndpoint"),
        _REDSHIFT,
        WAREHOUSE_DATABASE,
        user,
        secret=_told(outputs, "WarehouseSecret"),
    )
    return Places(
        {name: database(name) for name in pipeline.sources},
        {name: database(name) for name in pipeline.sinks_of(PostgresSink)},
        # Behind a tunnel it answers at another name than its certificate's.
        msgspec.structs.replace(redshift, sslmode="verify-ca"),
        _told(outputs, "Bucket"),
        outputs.get("BastionInstanceOutput", ""),
        outputs.get("BastionAddressOutput", ""),
    )


def _told(outputs: Outputs, name: str) -> str:
    if f"{name}Output" not in outputs:
        raise InputError(
            f"the stacks have no output {name}Output; deploy them with this version of the project"
        )
    return outputs[f"{name}Output"]
