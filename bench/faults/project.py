"""The project that is attacked: this one's code, with the traffic's tables in place of its own."""

import shutil
from pathlib import Path

from bench.faults.traffic import tables
from local.programs.environment import PROJECT

INVOKING = "shop"
NOTIFYING = "office"
"""The source whose doorbell is aws_lambda.invoke, and the one whose doorbell is pg_notify and a relay."""


def make_project(folder: Path, lambdas: Path = PROJECT / "lambdas") -> Path:
    """A project folder to run a stack from. `lambdas` may be another copy of the code, a mutated one."""
    shutil.copytree(lambdas, folder / "lambdas", ignore=shutil.ignore_patterns("__pycache__"))
    for module in (folder / "lambdas" / "transform" / "transforms").glob("[a-z]*.py"):
        module.unlink()
    (folder / "local" / "databases").mkdir(parents=True)
    for source in (INVOKING, NOTIFYING):
        (folder / "local" / "databases" / f"{source}.sql").write_text(tables.schema())
    (folder / "local" / "lambda_service").mkdir()
    for lock in PROJECT.glob("local/lambda_service/requirements.*"):
        shutil.copy(lock, folder / "local" / "lambda_service")
    (folder / "pipeline.toml").write_text(_pipeline())
    return folder


def _pipeline() -> str:
    text = tables.pipeline_toml((INVOKING, NOTIFYING), batch_events=100)
    return text.replace(
        f'[sources.{NOTIFYING}]\ndoorbell = "invoke"', f'[sources.{NOTIFYING}]\ndoorbell = "notify"'
    )
