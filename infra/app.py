"""The CDK app: context, packages, stages and checks."""

import json
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from infra.environments import chosen
from infra.packages import Packages
from infra.settings import Environment
from infra.stage import PgEvents
from pgevents.config import load

PROJECT = Path(__file__).parents[1]


def context(project: Path = PROJECT) -> dict[str, object]:
    """cdk.json's context, which the CDK CLI would pass on and a plain `python app.py` would not have."""
    found: dict[str, object] = json.loads((project / "cdk.json").read_text(encoding="utf-8"))["context"]
    return found


def build(
    app: cdk.App, environments: list[Environment], project: Path = PROJECT, pipeline: Path | None = None
) -> list[PgEvents]:
    """A stage for each environment, from `pipeline` or the project's pipeline.toml. Raises InputError."""
    pipeline = pipeline or project / "pipeline.toml"
    description = load(pipeline)
    packages = Packages.of(project, pipeline)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return [PgEvents(app, environment, description, packages) for environment in environments]


def main() -> None:
    """Synthesizes the environment that `-c env=NAME` names, or all of them."""
    app = cdk.App(context=context())
    build(app, chosen(app.node.try_get_context("env")))
    app.synth()
