"""`./pgevents doctor [ENV]`: what must be true of what is there, each check a line.

Exit codes: 0 all is well; 1 somebody should look; 2 something does not work, or the input is wrong.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import psycopg

from infra.environments import chosen
from infra.names import Names
from infra.settings import Environment
from ops import cdk
from ops.doctor.aws import Functions, aws_findings
from ops.doctor.capture import source_findings
from ops.doctor.finding import Finding, Limits, error, exit_code, warning
from ops.doctor.local import service_finding
from ops.doctor.sinks import postgres_findings, redshift_findings
from ops.endpoints import DEFAULT_STATE, Endpoints, connect, read_endpoints, state_folder
from ops.plan.captures import Columns, captured_columns
from ops.plan.targets import redshift_targets
from pgevents.config import Pipeline, PostgresSink, RedshiftSink, load
from pgevents.errors import InputError

SUMMARY = "Check what is there and what runs; each check a line: ok, warning or error"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "environment", metavar="ENV", nargs="?", help="an environment on AWS; this machine's pipeline without"
    )
    parser.add_argument("--state", type=Path, help="the state folder that says where the databases are")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.epilog = "Exit codes: 0 all is well; 1 a warning; 2 an error, or wrong input."


def run(args: argparse.Namespace) -> int:
    pipeline = load(cdk.PROJECT / "pipeline.toml")
    environment = chosen(args.environment)[0] if args.environment else None
    found = []
    for finding in _findings(pipeline, environment, args.state):
        found.append(finding)
        if not args.json:
            print(_line(finding), flush=True)
    if args.json:
        print(msgspec.json.encode(found).decode())
    return exit_code(found)


def _line(finding: Finding) -> str:
    do = f": {finding.do}" if finding.do else ""
    return f"{finding.level:<7}  {finding.where}: {finding.what}{do}"


def _findings(pipeline: Pipeline, environment: Environment | None, state: Path | None) -> Iterator[Finding]:
    endpoints = _endpoints(environment, state)
    if endpoints is None:
        where = environment.name if environment else ""
        yield warning(
            where, "its databases were not looked at", f"./pgevents connect {where}, and again beside it"
        )
    else:
        yield from _databases(pipeline, endpoints)
        if not endpoints.environment:
            yield service_finding(urlsplit(endpoints.lambda_))
    if environment is not None:
        import boto3

        names = Names(environment.name)
        functions = Functions(names.transform, names.writer)
        yield from aws_findings(functions, pipeline.writers(), environment.region, boto3.client)


def _endpoints(environment: Environment | None, state: Path | None) -> Endpoints | None:
    """Where the databases are; None when nobody has connected to the environment. Raises InputError."""
    if environment is None:
        return read_endpoints(state or DEFAULT_STATE)
    folder = state or state_folder(environment.name)
    if state is None and not (folder / "endpoints.json").exists():
        return None
    found = read_endpoints(folder)
    if found.environment != environment.name:
        of = found.environment or "a pipeline on this machine"
        raise InputError(f"the state folder {folder} is one of {of}, not of {environment.name}")
    return found


def _databases(pipeline: Pipeline, endpoints: Endpoints) -> Iterator[Finding]:
    shapes: dict[str, Columns] = {}
    for name in pipeline.sources:
        yield from _source(name, pipeline, endpoints, shapes)
    targets, _ = redshift_targets(pipeline, shapes)
    for name, sink in pipeline.sinks.items():
        if isinstance(sink, PostgresSink):
            yield from _postgres_sink(name, sink, endpoints)
        elif isinstance(sink, RedshiftSink):
            yield from redshift_findings(name, sink.schema, endpoints.redshift.dsn, targets)


def _nowhere(name: str) -> Finding:
    what, do = "the state folder does not say where it is", "start it, or connect, with this pipeline.toml"
    return error(name, what, do)


def _postgres_sink(name: str, sink: PostgresSink, endpoints: Endpoints) -> Iterator[Finding]:
    if name in endpoints.sinks:
        yield from postgres_findings(name, sink.schema, endpoints.sinks[name])
    else:
        yield _nowhere(name)


def _source(
    name: str, pipeline: Pipeline, endpoints: Endpoints, shapes: dict[str, Columns]
) -> Iterator[Finding]:
    """Its findings; what its tables look like goes into `shapes`."""
    try:
        with connect(name, endpoints.sources[name]) as connection:
            yield from source_findings(connection, name, pipeline, Limits())
            for table in pipeline.sources[name].tables:
                if (shape := captured_columns(connection, table)) is not None:
                    shapes[f"{name}.{table.table}"] = shape
    except KeyError:
        yield _nowhere(name)
    except InputError as failure:
        yield error(name, str(failure), "look whether it runs, and at its address")
    except psycopg.Error as failure:
        yield error(
            name, str(failure).splitlines()[0], "look at it as the role that owns the schema pgevents"
        )
