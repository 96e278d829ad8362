"""`./pgevents plan ENV`: what a deployment would change, and what it costs, before it does.

Exit codes: 0 everything was compared and nothing is to be done; 3 there is something to do, or something was
not compared; 1 something stands in the way of a deployment; 2 the input is wrong.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from db_triggers.installer import Wake
from infra.environments import chosen
from infra.names import Names
from infra.settings import Environment
from ops import cdk
from ops.costs.bill import bill
from ops.costs.prices import load_prices
from ops.endpoints import DEFAULT_STATE, Endpoints, read_endpoints, state_folder
from ops.plan.databases import Reach, compare_databases
from ops.plan.grants import roles
from ops.plan.report import Plan, report
from pgevents.config import Pipeline, S3Sink, load
from pgevents.errors import InputError

SUMMARY = "Show what a deployment would change: triggers, Redshift, permissions, cost"
REQUIREMENTS = "dev"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("environment", metavar="ENV", help="an environment of infra/environments.py")
    parser.add_argument(
        "--state",
        type=Path,
        help="the state folder that says where the databases are (.pgevents-ENV or .pgevents, if there)",
    )
    parser.add_argument(
        "--source", action="append", default=[], metavar="NAME=DSN", help="a source; may be repeated"
    )
    parser.add_argument("--redshift", default="", metavar="DSN", help="Redshift, or the stand-in")
    parser.add_argument(
        "--load", type=float, default=10.0, metavar="EVENTS", help="events a second for the cost (10)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.epilog = (
        "Exit codes: 0 nothing to do; 3 something to do, or not everything could be compared; "
        "1 something stands in the way; 2 wrong input."
    )


def run(args: argparse.Namespace) -> int:
    [environment] = chosen(args.environment)
    # Read when aws_cdk is first imported. The checks are for synth, diff and deploy.
    os.environ.update(cdk.environment(), CDK_VALIDATION="false")
    if not args.load >= 0:
        raise InputError(f"--load {args.load:g}: expected events a second, 0 or more")
    pipeline = load(cdk.PROJECT / "pipeline.toml")
    reach = _reach(args, environment, pipeline)
    templates = _templates(environment)
    compared = compare_databases(pipeline, reach)
    plan = Plan(
        environment.name,
        compared.differences,
        compared.not_compared,
        roles(templates),
        bill(templates, len(pipeline.sinks_of(S3Sink)), args.load, environment.region, load_prices()),
    )
    if args.json:
        print(msgspec.json.encode(plan).decode())
    else:
        print("\n".join(report(plan, frozenset(pipeline.sources))))
    return 1 if plan.is_blocked else 0 if plan.is_empty else 3


def _reach(args: argparse.Namespace, environment: Environment, pipeline: Pipeline) -> Reach:
    """What was given, and for the rest what runs. Raises InputError."""
    given = dict(_given(text, pipeline) for text in args.source)
    there = _endpoints(environment, args.state)
    wake = Wake(Names(environment.name).transform, environment.region)
    if there is None:
        return Reach(given, args.redshift, wake)
    if there.environment not in ("", environment.name):
        raise InputError(f"the state folder is one of {there.environment}, not of {environment.name}")
    # A pipeline on this machine rings another function than the one that would be deployed.
    is_local = not there.environment and not given
    return Reach({**there.sources, **given}, args.redshift or there.redshift.dsn, None if is_local else wake)


def _given(text: str, pipeline: Pipeline) -> tuple[str, str]:
    name, equals, dsn = text.partition("=")
    if not equals or name not in pipeline.sources:
        raise InputError(f"--source {text}: expected NAME=DSN, NAME one of {', '.join(pipeline.sources)}")
    return name, dsn


def _endpoints(environment: Environment, state: Path | None) -> Endpoints | None:
    """Those of the environment, else of this machine; None when nobody said that something runs."""
    if state is not None:
        return read_endpoints(state)
    for folder in (state_folder(environment.name), DEFAULT_STATE):
        if (folder / "endpoints.json").exists():
            return read_endpoints(folder)
    return None


def _templates(environment: Environment) -> dict[str, Any]:
    """The environment's templates by the names of their stacks, in the order of a deployment."""
    import aws_cdk

    from infra.app import build, context

    with tempfile.TemporaryDirectory() as out:
        app = aws_cdk.App(context=context(), outdir=out)
        build(app, [environment])
        made = {
            artifact.display_name.split("/")[1].split(" ")[0]: json.loads(
                Path(artifact.template_full_path).read_text(encoding="utf-8")
            )
            for artifact in app.synth().stacks_recursively
        }
    return {stack: made[stack] for stack in cdk.STACKS if stack in made}
