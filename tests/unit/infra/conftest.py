"""Every environment, synthesized once a session, with cdk-nag as a deployment has it."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops import cdk as command_line

# Read when aws_cdk is first imported, which the fixtures below do.
os.environ["JSII_NODE"] = str(command_line.node())
os.environ["CDK_VALIDATION"] = "true"

NAMES = ("dev", "stage", "prod")
Resource = dict[str, Any]


@dataclass(frozen=True)
class Templates:
    """The templates of one environment by the names of its stacks, the files that they are in, and the stacks
    that are deployed before each."""

    name: str
    stacks: dict[str, dict[str, Any]]
    files: list[Path]
    needs: dict[str, set[str]]

    def resources(self, kind: str, stack: str | None = None) -> dict[str, Resource]:
        """The resources of a type, by their logical ids."""
        return {
            f"{where}/{id}": resource
            for where, template in self.stacks.items()
            if stack in (None, where)
            for id, resource in template.get("Resources", {}).items()
            if resource["Type"] == kind
        }

    def properties(self, kind: str, stack: str | None = None) -> list[dict[str, Any]]:
        """The properties of the resources of a type."""
        return [resource.get("Properties", {}) for resource in self.resources(kind, stack).values()]

    def __iter__(self) -> Iterator[tuple[str, str, Resource]]:
        """Stack, logical id and resource of everything."""
        for stack, template in self.stacks.items():
            for id, resource in template.get("Resources", {}).items():
                yield stack, id, resource


def synthesized(folder: Path, *environments: Any, pipeline: Path | None = None) -> dict[str, Templates]:
    """Templates by the name of the environment; fails when cdk-nag finds anything."""
    import aws_cdk

    from infra.app import PROJECT, build, context

    app = aws_cdk.App(context=context(), outdir=str(folder))
    stages = build(app, list(environments), PROJECT, pipeline)
    app.synth()
    return {stage.node.id: read(folder / f"assembly-{stage.node.id}", stage.node.id) for stage in stages}


def read(folder: Path, name: str) -> Templates:
    manifest = json.loads((folder / "manifest.json").read_text())["artifacts"]
    made = {id: each for id, each in manifest.items() if each["type"] == "aws:cloudformation:stack"}
    names = {id: each["displayName"].split("/")[1].split(" ")[0] for id, each in made.items()}
    files = {names[id]: folder / each["properties"]["templateFile"] for id, each in made.items()}
    return Templates(
        name,
        {stack: json.loads(file.read_text()) for stack, file in files.items()},
        [*files.values()],
        {
            names[id]: {names[before] for before in each.get("dependencies", []) if before in names}
            for id, each in made.items()
        },
    )


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Templates]:
    from infra.environments import chosen

    return synthesized(tmp_path_factory.mktemp("a cdk.out"), *chosen(None))


@pytest.fixture(params=NAMES)
def templates(request: pytest.FixtureRequest, environments: dict[str, Templates]) -> Templates:
    """Each of the environments in turn."""
    return environments[request.param]


@pytest.fixture
def settings(templates: Templates) -> Any:
    """What was chosen for it."""
    from infra.environments import ENVIRONMENTS

    return ENVIRONMENTS[templates.name]
