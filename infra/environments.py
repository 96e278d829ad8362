"""The environments: dev, stage and prod. Sizes, safety and access are chosen here and nowhere else."""

from infra.settings import (
    Access,
    Capture,
    Environment,
    NewDatabases,
    NewNetwork,
    ProvisionedWarehouse,
    ServerlessWarehouse,
    Storage,
    Thresholds,
)
from pgevents.errors import InputError

_REGION = "eu-west-1"
_ZONES = ("eu-west-1a", "eu-west-1b", "eu-west-1c")
# The company's own networks. Put yours here: who is in none of them comes through the bastion.
_OFFICE_IPV4 = ("10.0.0.0/8",)
_OFFICE_IPV6 = ("fd00::/8",)

DEV = Environment(
    name="dev",
    region=_REGION,
    zones=_ZONES,
    production=False,
    access=Access(
        postgres_ipv4=_OFFICE_IPV4, postgres_ipv6=_OFFICE_IPV6, ssh_ipv4=_OFFICE_IPV4, ssh_ipv6=_OFFICE_IPV6
    ),
    network=NewNetwork(cidr="10.20.0.0/16", bastion="ssh", ssh_key_name="pgevents-dev"),
    databases=NewDatabases(
        instance_type="t4g.medium",
        storage_gib=20,
        storage_limit_gib=100,
        multi_az=False,
        backup_days=1,
        keep="destroy",
    ),
    warehouse=ServerlessWarehouse(base_capacity=8, max_capacity=16, keep="destroy"),
    capture=Capture(remove_on_delete=True),
    storage=Storage(keep="destroy"),
    thresholds=Thresholds(silence_minutes=24 * 60),
)

STAGE = Environment(
    name="stage",
    region=_REGION,
    zones=_ZONES,
    production=False,
    access=Access(postgres_ipv4=_OFFICE_IPV4, postgres_ipv6=_OFFICE_IPV6),
    network=NewNetwork(cidr="10.21.0.0/16", dual_stack=True),
    databases=NewDatabases(
        instance_type="m8g.large",
        storage_gib=100,
        storage_limit_gib=500,
        multi_az=True,
        backup_days=7,
        keep="snapshot",
    ),
    warehouse=ServerlessWarehouse(base_capacity=16, max_capacity=64, keep="snapshot"),
)

PROD = Environment(
    name="prod",
    region=_REGION,
    zones=_ZONES,
    production=True,
    access=Access(postgres_ipv4=_OFFICE_IPV4, postgres_ipv6=_OFFICE_IPV6),
    network=NewNetwork(cidr="10.22.0.0/16", dual_stack=True),
    databases=NewDatabases(
        instance_type="r8g.xlarge",
        storage_gib=500,
        storage_limit_gib=4000,
        multi_az=True,
        backup_days=35,
        keep="retain",
    ),
    warehouse=ProvisionedWarehouse(node_type="ra3.large", nodes=2, snapshot_days=35, keep="retain"),
    thresholds=Thresholds(lag_p99_seconds=30, silence_minutes=15),
)

ENVIRONMENTS = {environment.name: environment for environment in (DEV, STAGE, PROD)}


def chosen(name: str | None) -> list[Environment]:
    """The environment of that name, or all of them without one. Raises InputError for an unknown name."""
    if name is None:
        return list(ENVIRONMENTS.values())
    if name not in ENVIRONMENTS:
        raise InputError(f"there is no environment {name!r}; expected one of {', '.join(ENVIRONMENTS)}")
    return [ENVIRONMENTS[name]]
