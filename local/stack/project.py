"""A project folder that is made to run a stack from: this one's Lambdas, over other tables."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from local.programs.environment import PROJECT


def make_project(folder: Path, tables: Mapping[str, str], pipeline: str) -> Path:
    """Makes the folder: each source's tables as SQL, the text of its pipeline.toml, and no transforms."""
    shutil.copytree(PROJECT / "lambdas", folder / "lambdas", ignore=shutil.ignore_patterns("__pycache__"))
    for module in (folder / "lambdas" / "transform" / "transforms").glob("[a-z]*.py"):
        module.unlink()
    (folder / "local" / "databases").mkdir(parents=True)
    for source, statements in tables.items():
        (folder / "local" / "databases" / f"{source}.sql").write_text(statements)
    (folder / "local" / "lambda_service").mkdir()
    for lock in PROJECT.glob("local/lambda_service/requirements.*"):
        shutil.copy(lock, folder / "local" / "lambda_service")
    (folder / "pipeline.toml").write_text(pipeline)
    return folder
