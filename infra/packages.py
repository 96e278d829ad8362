"""The Lambdas' packages for AWS: folders of wheels for Lambda's platform and this project's code."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from lambda_packages import LAMBDA_ARM, Target, build


@dataclass(frozen=True)
class Packages:
    """A folder for each Lambda, named by its content, and what the SQL of the triggers hashes to."""

    transform: Path
    redshift_writer: Path
    trigger_installer: Path
    sql: str

    @classmethod
    def of(cls, project: Path, pipeline: Path, target: Target = LAMBDA_ARM) -> "Packages":
        """The packages of the project as it is now; the wheels are downloaded when they are not there yet.

        Raises InputError when they cannot be had.
        """
        out = project / "build" / "lambda"
        return cls(
            transform=build("transform", project, out, target, pipeline=pipeline),
            redshift_writer=build("redshift_writer", project, out, target, pipeline=pipeline),
            trigger_installer=build("trigger_installer", project, out, target, pipeline=pipeline),
            sql=sql_hash(project / "db_triggers"),
        )


def sql_hash(folder: Path) -> str:
    """Of everything that the installer runs: the SQL and the program that puts it together."""
    content = hashlib.sha256()
    for path in sorted([*folder.rglob("*.sql"), *folder.rglob("*.py")]):
        file = path.read_bytes()
        content.update(f"{path.relative_to(folder)}\0{len(file)}\0".encode() + file)
    return content.hexdigest()[:16]
