"""The workflow of the stacks: what it pins, what it may do, and what it says of a change."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.programs.environment import PROJECT

WORKFLOW = PROJECT / ".github" / "workflows" / "infra.yml"


@pytest.fixture(scope="module")
def workflow() -> Any:
    return yaml.safe_load(WORKFLOW.read_text())


def step(workflow: Any, name: str) -> dict[str, Any]:
    return next(each for each in workflow["jobs"]["templates"]["steps"] if each.get("name") == name)


def test_actions_are_pinned_to_commits_and_may_only_read(workflow: Any) -> None:
    used = [each["uses"] for job in workflow["jobs"].values() for each in job["steps"] if "uses" in each]
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action)] == []
    assert workflow["permissions"] == {"contents": "read"}


def test_the_templates_of_a_change_are_compared_with_those_of_its_base(workflow: Any) -> None:
    base = step(workflow, "Synthesize the main branch")
    assert base["env"]["BASE"] == "${{ github.event.pull_request.base.sha }}"
    assert 'git worktree add "$RUNNER_TEMP/base" "$BASE"' in base["run"]


def summary(workflow: Any, folder: Path, before: dict[str, str], after: dict[str, str]) -> str:
    """What the step writes of two sets of templates, by environment, run as a runner would."""
    for root, templates in ((folder / "temp" / "base", before), (folder, after)):
        for environment, text in templates.items():
            place = root / "cdk.out" / f"assembly-{environment}"
            place.mkdir(parents=True)
            (place / "stack.template.json").write_text(text)
            (place / "manifest.json").write_text(str(root))
    told = folder / "summary.md"
    subprocess.run(
        ["bash", "-e", "-c", step(workflow, "What changes in the templates")["run"]],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "RUNNER_TEMP": str(folder / "temp"), "GITHUB_STEP_SUMMARY": str(told)},
        check=True,
    )
    return told.read_text()


def test_the_summary_shows_what_differs_and_nothing_else(workflow: Any, tmp_path: Path) -> None:
    same = {"dev": "{}\n", "stage": "{}\n"}
    told = summary(workflow, tmp_path, same | {"prod": "old\n"}, same | {"prod": "new\n"})
    assert "### dev: 0 lines differ" in told
    assert "-old\n+new\n" in told
    assert "### prod: 2 lines differ" in told
    assert f"-{tmp_path}" not in told
    assert told.count("~~~") == 6


def test_templates_that_the_base_does_not_have_are_new(workflow: Any, tmp_path: Path) -> None:
    told = summary(workflow, tmp_path, {}, dict.fromkeys(("dev", "stage", "prod"), "new\n"))
    assert told.count("+new") == 3
