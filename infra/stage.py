"""One environment: its five stacks, each handed what it needs of those before it."""

import aws_cdk as cdk
from constructs import Construct

from infra.databases import Databases
from infra.monitoring import Monitoring
from infra.names import Names
from infra.network import Network
from infra.packages import Packages
from infra.pipeline import Pipeline
from infra.settings import Environment
from infra.warehouse import Warehouse
from pgevents.config import Pipeline as Description


class PgEvents(cdk.Stage):
    """The whole pipeline in one account and region."""

    def __init__(
        self, scope: Construct, environment: Environment, description: Description, packages: Packages
    ) -> None:
        super().__init__(
            scope,
            environment.name,
            env=cdk.Environment(account=environment.account, region=environment.region),
            stage_name=f"pgevents-{environment.name}",
        )
        self._know_the_zones(environment)
        names = Names(environment.name)
        self.network = Network(self, "network", environment)
        self.databases = Databases(self, "databases", environment, description, names, self.network)
        self.warehouse = Warehouse(self, "warehouse", environment, names, self.network)
        self.pipeline = Pipeline(
            self,
            "pipeline",
            environment,
            description,
            names,
            packages,
            self.network,
            self.databases.databases,
            self.warehouse,
        )
        self.monitoring = Monitoring(self, "monitoring", environment, description, names, self.pipeline)
        # Not Tags.of(self) for all: a proxy's target group takes no tags and fails with them.
        cdk.Tags.of(self).add(
            "pgevents", environment.name, exclude_resource_types=["AWS::RDS::DBProxyTargetGroup"]
        )

    def _know_the_zones(self, environment: Environment) -> None:
        """With an account the VPC would ask AWS for its zones; they are in the settings already."""
        if environment.account:
            key = f"availability-zones:account={environment.account}:region={environment.region}"
            self.node.set_context(key, list(environment.zones))
