"""How a function's process is cut off from this machine: its command line and its environment variables."""

import os
import sys
from pathlib import Path

from local.lambda_service.configuration import FunctionConfiguration, ServiceConfiguration

BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
LATEST = "$LATEST"

# Without site-packages (-S) and without the script's own folder on the path (-P).
ISOLATED = ("-S", "-P")


def search_path(package: Path, runtime: Path) -> str:
    """PYTHONPATH of a function: its package, then AWS's runtime folder, as on Lambda."""
    return os.pathsep.join((str(package.resolve()), str(runtime.resolve())))


def command(handler: str) -> tuple[str, ...]:
    """The command line of an execution environment that lives no longer than this process."""
    return (sys.executable, *ISOLATED, str(BOOTSTRAP), str(os.getpid()), handler)


def base_variables(package: Path, runtime: Path, region: str, scratch: Path) -> dict[str, str]:
    """What every function finds in its environment, and nothing of this machine's own variables.

    HOME is the scratch folder, so that nobody's own AWS profile can be picked up.
    """
    variables = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "PYTHONPATH": search_path(package, runtime),
        "LAMBDA_TASK_ROOT": str(package.resolve()),
        "LAMBDA_RUNTIME_DIR": str(runtime.resolve()),
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    # A Python that was built with a shared library in a folder of its own cannot start without this.
    if "LD_LIBRARY_PATH" in os.environ:
        variables["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    return variables


def function_variables(
    service: ServiceConfiguration, function: FunctionConfiguration, service_url: str, scratch: Path
) -> dict[str, str]:
    """What all execution environments of a function find in theirs.

    boto3 in a function speaks to this machine only; `environment` of the function wins over everything.
    """
    variables = {
        **base_variables(Path(function.package), Path(service.runtime), service.region, scratch),
        "_HANDLER": function.handler,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": LATEST,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_ENDPOINT_URL": service.aws_endpoint or service_url,
        "AWS_ENDPOINT_URL_LAMBDA": service_url,
    }
    return {**variables, **function.environment}
