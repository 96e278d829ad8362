"""The CDK app as it is deployed to the emulator: the project's own stages, packages that run on this machine, and
a PostgreSQL that is there already."""

import json
import os
from pathlib import Path

import aws_cdk

from infra.app import PROJECT, context
from infra.environments import DEV
from infra.packages import Packages
from infra.settings import ExistingDatabase, NewNetwork
from infra.stage import PgEvents
from lambda_packages import HOST
from pgevents.config import load


def main() -> None:
    """Told by DATABASES (JSON, an ExistingDatabase a name) and PIPELINE (a path)."""
    from dataclasses import replace

    there = {name: ExistingDatabase(**it) for name, it in json.loads(os.environ["DATABASES"]).items()}
    environment = replace(
        DEV,
        name="local",
        account="000000000000",
        existing_databases=there,
        network=NewNetwork(cidr="10.20.0.0/16", bastion="none"),
    )
    pipeline = Path(os.environ["PIPELINE"])
    app = aws_cdk.App(context=context())
    PgEvents(app, environment, load(pipeline), Packages.of(PROJECT, pipeline, HOST))
    app.synth()


if __name__ == "__main__":
    main()
