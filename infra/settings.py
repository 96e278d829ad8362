"""What an environment may choose, typed and frozen. `environments.py` holds the three that there are.

Lengths of time are in days, storage in GiB, unless the name says otherwise.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Literal

from pgevents.errors import InputError

Keep = Literal["retain", "snapshot", "destroy"]
"""What becomes of a database when its stack is deleted."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may reach the databases (PostgreSQL's port) and the bastion (SSH), as CIDR ranges of IPv4 and IPv6.

    `any_address` opens both to the world. In production it is refused unless `any_address_in_production`
    says it a second time; a range such as 0.0.0.0/0 counts as the same.
    """

    postgres_ipv4: tuple[str, ...] = ()
    postgres_ipv6: tuple[str, ...] = ()
    ssh_ipv4: tuple[str, ...] = ()
    ssh_ipv6: tuple[str, ...] = ()
    any_address: bool = False
    any_address_in_production: bool = False

    @property
    def postgres(self) -> tuple[str, ...]:
        """Every range for PostgreSQL."""
        return _ANYWHERE if self.any_address else (*self.postgres_ipv4, *self.postgres_ipv6)

    @property
    def ssh(self) -> tuple[str, ...]:
        """Every range for SSH."""
        return _ANYWHERE if self.any_address else (*self.ssh_ipv4, *self.ssh_ipv6)

    @property
    def is_open(self) -> bool:
        """Whether some range is the whole of the internet."""
        return any(_network(text).prefixlen == 0 for text in (*self.postgres, *self.ssh))


_ANYWHERE = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True, kw_only=True)
class NewNetwork:
    """A VPC of the pipeline's own.

    `reach` is how the Lambdas get to AWS's services: by `endpoints` (about 8 USD a month for each service and
    zone, nothing leaves AWS) or by `nat` (about 35 USD a month and 0.05 USD a GB, any service). The `session`
    bastion is reached through Systems Manager and has no open port; the `ssh` one has a public address.
    """

    cidr: str
    dual_stack: bool = False
    reach: Literal["endpoints", "nat"] = "endpoints"
    bastion: Literal["session", "ssh", "none"] = "session"
    ssh_key_name: str = ""


@dataclass(frozen=True, kw_only=True)
class ExistingNetwork:
    """A VPC that is there: its private subnets, one for each of the environment's zones, in their order."""

    vpc_id: str
    cidr: str
    private_subnet_ids: tuple[str, ...]
    private_route_table_ids: tuple[str, ...] = ()
    dual_stack: bool = False


@dataclass(frozen=True, kw_only=True)
class NewDatabases:
    """The size and the safety of every RDS instance that this environment creates.

    `version` is one that RDS has; docs/how-to/upgrade-and-roll-back.md says what to do before its major part
    changes. `log_days` is for how long the logs of the instances and of their proxies are kept.
    """

    instance_type: str
    storage_gib: int
    storage_limit_gib: int
    multi_az: bool
    backup_days: int
    keep: Keep
    version: str = "18.3"
    proxy_connections_percent: int = 50
    log_days: int = 30

    def __post_init__(self) -> None:
        """Raises InputError."""
        _check_version(self.version)


@dataclass(frozen=True, kw_only=True)
class ExistingDatabase:
    """An RDS instance and its proxy that are there.

    `secret_arn` holds username and password of the role that owns the captured tables; `proxy_resource_id` is
    the `prx-...` of the proxy's ARN, `sslmode` one of libpq's. docs/how-to/deploy.md says what must be true
    of both. A `version` with another major part than before has capture installed again.
    """

    host: str
    port: int
    database: str
    user: str
    secret_arn: str
    proxy_host: str
    proxy_resource_id: str
    sslmode: str = "require"
    version: str = ""

    def __post_init__(self) -> None:
        """Raises InputError."""
        if self.version:
            _check_version(self.version)


@dataclass(frozen=True, kw_only=True)
class ServerlessWarehouse:
    """Redshift Serverless; capacities in Redshift processing units."""

    base_capacity: int
    max_capacity: int
    keep: Keep


@dataclass(frozen=True, kw_only=True)
class ProvisionedWarehouse:
    """A Redshift cluster."""

    node_type: str
    nodes: int
    snapshot_days: int
    keep: Keep


@dataclass(frozen=True, kw_only=True)
class ExistingWarehouse:
    """A Redshift that is there. `copy_role_arn` is attached to it and may be given the bucket to read."""

    host: str
    port: int
    database: str
    user: str
    secret_arn: str
    copy_role_arn: str


@dataclass(frozen=True, kw_only=True)
class Capture:
    """When the triggers are put in. A new, empty database has no tables yet: deploy it with `install` off
    first. `remove_on_delete` takes events with it that were not applied yet."""

    install: bool = True
    remove_on_delete: bool = False


@dataclass(frozen=True, kw_only=True)
class Functions:
    """Both Lambdas. Memory in MB; processor time grows with it."""

    transform_memory: int = 1024
    writer_memory: int = 1024
    transform_timeout_seconds: int = 300
    writer_timeout_seconds: int = 600
    sweep_minutes: int = 1
    log_days: int = 30


@dataclass(frozen=True, kw_only=True)
class Storage:
    """The bucket. Batches handed on through it are needed until they are applied; the archive for longer."""

    forwarded_days: int = 14
    archive_infrequent_days: int = 30
    archive_glacier_days: int = 90
    keep: Keep = "retain"


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """When an alarm goes off. `silence_minutes` is how long without an applied batch is still normal.

    `outbox_gigabytes` is apart from `events_waiting`: few events with huge rows fill a disk as well.
    """

    email: str = ""
    lag_p99_seconds: int = 60
    oldest_waiting_seconds: int = 300
    events_waiting: int = 100_000
    outbox_gigabytes: int = 5
    writer_retries: int = 20
    silence_minutes: int = 60


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One deployment of the whole pipeline.

    Without an `account` it goes wherever the credentials lead; with one it is refused elsewhere.
    `zones` has three for Redshift Serverless, which needs them.
    """

    name: str
    region: str
    zones: tuple[str, ...]
    account: str | None = None
    production: bool
    access: Access
    network: NewNetwork | ExistingNetwork
    databases: NewDatabases
    existing_databases: dict[str, ExistingDatabase] = field(default_factory=dict)
    warehouse: ServerlessWarehouse | ProvisionedWarehouse | ExistingWarehouse
    capture: Capture = Capture()
    functions: Functions = Functions()
    storage: Storage = Storage()
    thresholds: Thresholds = Thresholds()

    def __post_init__(self) -> None:
        """Raises InputError naming the first setting that cannot stand."""
        where = f"environment {self.name}"
        is_open = self.access.is_open  # which checks every range
        if self.production and is_open and not self.access.any_address_in_production:
            raise InputError(
                f"{where}: access is open to any address; name ranges, or say any_address_in_production too"
            )
        if isinstance(self.network, NewNetwork) and self.network.bastion == "ssh" and not self.access.ssh:
            raise InputError(f"{where}: an ssh bastion that nobody may reach; name ranges in access.ssh_ipv4")
        if self.production and any(keep == "destroy" for keep in self._kept()):
            raise InputError(
                f"{where}: keep='destroy' would lose a production database; use snapshot or retain"
            )

    def _kept(self) -> tuple[Keep, ...]:
        warehouse = () if isinstance(self.warehouse, ExistingWarehouse) else (self.warehouse.keep,)
        return (self.databases.keep, self.storage.keep, *warehouse)


def major_part(version: str) -> str:
    """Of a version of PostgreSQL: `18` of `18.3`."""
    return version.partition(".")[0]


def _check_version(version: str) -> None:
    if not re.fullmatch(r"[1-9][0-9](\.[0-9]+)?", version):
        raise InputError(f"databases: version {version!r} is none of PostgreSQL's; expected one like 18.3")


def is_ipv6(text: str) -> bool:
    """Whether a range is one of IPv6. Raises InputError when it is none at all."""
    return _network(text).version == 6


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise InputError(f"access: {text!r} is no range of addresses: {error}") from error
