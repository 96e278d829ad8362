"""What the service is told: which functions there are and how each is run."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pgevents.errors import InputError

MAX_EVENT_AGE_S = 6 * 60 * 60.0

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Seconds = Annotated[float, Meta(gt=0)]
Delay = Annotated[float, Meta(ge=0)]


class FunctionConfiguration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One function.

    `package` is the folder that `lambda_packages.build` made. `on_success` and `on_failure` are ARNs of a
    function of this service or of an SQS queue. `reserved_concurrency` None shares what the others leave.
    """

    name: Name
    package: str
    handler: Annotated[str, Meta(pattern=r"^[^\s]+\.[^\s.]+$")]
    timeout_s: Annotated[float, Meta(gt=0, le=900)] = 3.0
    memory_mb: Annotated[int, Meta(ge=128, le=10_240)] = 128
    environment: dict[str, str] = {}
    reserved_concurrency: Annotated[int, Meta(ge=0)] | None = None
    retries: Annotated[int, Meta(ge=0, le=2)] = 2
    retry_delays_s: Annotated[tuple[Delay, ...], Meta(min_length=1)] = (60.0, 120.0)
    max_event_age_s: Annotated[float, Meta(gt=0, le=MAX_EVENT_AGE_S)] = MAX_EVENT_AGE_S
    on_success: str | None = None
    on_failure: str | None = None


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An asynchronous invoke of `function` with `payload` every so many seconds."""

    every_s: Seconds
    function: Name
    payload: Any = {}


class ServiceConfiguration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole service.

    `state` is the folder for logs and scratch space, `runtime` the folder that `lambda_packages.runtime`
    made, `aws_endpoint` the URL where SQS, S3 and the rest answer. Port 0 takes a free one.
    `account_concurrency` is what all functions together may run at once; a new AWS account has 10.
    """

    state: str
    runtime: str
    functions: tuple[FunctionConfiguration, ...]
    schedules: tuple[Schedule, ...] = ()
    port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    region: str = "eu-west-1"
    account: Annotated[str, Meta(pattern=r"^\d{12}$")] = "000000000000"
    aws_endpoint: str | None = None
    account_concurrency: Annotated[int, Meta(ge=1)] = 10
    init_timeout_s: Seconds = 10.0
    idle_timeout_s: Seconds = 300.0

    def function_arn(self, name: str) -> str:
        """The unqualified ARN of a function of this service."""
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{name}"


def load(path: Path) -> ServiceConfiguration:
    """The configuration in a JSON file.

    Raises InputError when the file cannot be read or a value in it is wrong.
    """
    try:
        configuration = msgspec.json.decode(path.read_bytes(), type=ServiceConfiguration)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; name an existing file") from error
    except msgspec.MsgspecError as error:
        raise InputError(f"{path}: {error}; correct it and start again") from error
    check(configuration)
    return configuration


def check(configuration: ServiceConfiguration) -> None:
    """Raises InputError when the parts of a configuration do not fit each other or folders are missing."""
    names = [function.name for function in configuration.functions]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"functions: {name} is there twice; give each function its own name")
    for function in configuration.functions:
        if not Path(function.package).is_dir():
            raise InputError(
                f"function {function.name}: package {function.package} is not a folder; build it first"
            )
    if not Path(configuration.runtime).is_dir():
        raise InputError(f"runtime: {configuration.runtime} is not a folder; build it first")
    for schedule in configuration.schedules:
        if schedule.function not in names:
            known = ", ".join(names)
            raise InputError(f"schedules: there is no function {schedule.function}; name one of {known}")
    check_concurrency(configuration.account_concurrency, configuration.functions)


def check_concurrency(account: int, functions: tuple[FunctionConfiguration, ...]) -> None:
    """Raises InputError when reservations leave nothing for the functions that reserve nothing."""
    reserved = sum(function.reserved_concurrency or 0 for function in functions)
    shared = any(function.reserved_concurrency is None for function in functions)
    if reserved + shared > account:
        raise InputError(
            f"reserved_concurrency: {reserved} of account_concurrency {account} are reserved, "
            "which leaves too few; reserve less or raise account_concurrency"
        )
