"""The checks are at work: cdk-nag refuses what it should, and cfn-lint finds nothing."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.infra.conftest import Templates

# W3005: CDK names dependencies that a reference implies already. W3010: zones are chosen in the settings.
IGNORED = ("W3005", "W3010")


def test_cdk_nag_stops_what_it_does_not_like(tmp_path: Path) -> None:
    import aws_cdk
    from aws_cdk import aws_sqs
    from cdk_nag import AwsSolutionsChecks

    app = aws_cdk.App(outdir=str(tmp_path))
    aws_cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    aws_sqs.Queue(aws_cdk.Stack(app, "stack"), "Bare")
    with pytest.raises(RuntimeError, match="AwsSolutions-SQS4"):
        app.synth()


def test_no_acknowledgement_is_for_everything(environments: dict[str, Templates]) -> None:
    source = "".join(path.read_text() for path in (Path(__file__).parents[3] / "infra").glob("*.py"))
    assert "AwsSolutions-*" not in source
    assert source.count("Validations.of(") == 2  # one for the plugin, one for single constructs


@pytest.mark.skipif(importlib.util.find_spec("cfnlint") is None, reason="cfn-lint is not installed")
def test_cfn_lint_finds_nothing(templates: Templates) -> None:
    ignored = [option for check in IGNORED for option in ("-i", check)]
    files = [str(file) for file in templates.files]
    done = subprocess.run(
        [sys.executable, "-c", "from cfnlint.runner import main; main()", *ignored, "--", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
