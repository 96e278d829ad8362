"""The environment variables of the project's own programs."""

import os
from pathlib import Path

PROJECT = Path(__file__).parents[2]
IMPORT_ROOTS = (PROJECT, PROJECT / "lambdas", PROJECT / "lambdas" / "core")
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")


def environment(**variables: str) -> dict[str, str]:
    """These variables and the few that every program needs: nobody's own AWS, proxy or Python settings."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(map(str, IMPORT_ROOTS)),
        "PYTHONUNBUFFERED": "1",
        **variables,
    }
