"""The map of the project in pyproject.toml names every package that there is."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
IMPORT_ROOTS = (ROOT, ROOT / "lambdas", ROOT / "lambdas" / "core")
NOT_ON_THE_MAP = {"tests"}


def test_every_package_is_on_the_map_and_every_place_on_the_map_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {path.parent.name for root in IMPORT_ROOTS for path in root.glob("*/__init__.py")}
    assert set(project["tool"]["importlinter"]["root_packages"]) == packages - NOT_ON_THE_MAP
