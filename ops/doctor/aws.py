"""The Lambdas' configuration and the bucket, asked of AWS with the operator's own credentials."""

from collections.abc import Callable, Iterator
from typing import Any

import botocore.exceptions
import msgspec

from ops.doctor.finding import Finding, error, ok, warning

Configuration = dict[str, Any]
"""What AWS says of a function."""

_TRANSFORM_VARIABLES = ("PGEVENTS_CONNECTIONS", "PGEVENTS_BUCKET", "PGEVENTS_WRITER_FUNCTION")
_WRITER_VARIABLES = ("PGEVENTS_REDSHIFT", "PGEVENTS_BUCKET")
_LOG_IN = "log in (aws sso login, or AWS_PROFILE), with the right to read them"
_DEPLOY = "./pgevents deploy ENV"
_COPY_ROLE = "PGEVENTS_COPY_ROLE"


class Functions(msgspec.Struct, frozen=True):
    """The names of an environment's functions."""

    transform: str
    writer: str


def aws_findings(
    functions: Functions, writers: int, region: str, client: Callable[..., Any]
) -> Iterator[Finding]:
    """Every check that AWS answers. `writers` is how many writers must be able to run at once, `client`
    boto3's function of that name."""
    try:
        lambda_ = client("lambda", region_name=region)
        found = _configuration(lambda_, functions.transform)
        yield from _function(functions.transform, found, _TRANSFORM_VARIABLES)
        if found is not None:
            yield from _asynchronous(lambda_, functions.transform, ("OnFailure",))
            yield from _bucket(client("s3", region_name=region), _variables(found).get("PGEVENTS_BUCKET"))
        yield from _writer(lambda_, functions.writer, writers)
    except botocore.exceptions.NoCredentialsError:
        yield warning("AWS", "no credentials: the Lambdas and the bucket were not looked at", _LOG_IN)
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as failure:
        yield error("AWS", f"did not answer: {failure}", _LOG_IN)


def _writer(lambda_: Any, name: str, writers: int) -> Iterator[Finding]:
    found = _configuration(lambda_, name)
    yield from _function(name, found, _WRITER_VARIABLES)
    if found is None:
        return
    yield from _asynchronous(lambda_, name, ("OnSuccess", "OnFailure"))
    if not _variables(found).get(_COPY_ROLE):
        yield warning(name, f"lacks {_COPY_ROLE}: large batches go to Redshift without COPY, slowly", _DEPLOY)
    count = lambda_.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
    if count is None:
        yield warning(name, "has no reservation: others may use its concurrency up", _DEPLOY)
    elif count < writers:
        runs = f"runs {count} at a time where {writers} batches may be in flight"
        yield warning(name, f"{runs}; Lambda lets the others wait for minutes", _DEPLOY)
    else:
        yield ok(name, f"runs up to {count} at a time")


def _configuration(lambda_: Any, name: str) -> Configuration | None:
    """None when there is no such function."""
    try:
        found: Configuration = lambda_.get_function_configuration(FunctionName=name)
    except botocore.exceptions.ClientError as failure:
        if _code(failure) != "ResourceNotFoundException":
            raise
        return None
    return found


def _variables(found: Configuration) -> dict[str, str]:
    return found.get("Environment", {}).get("Variables", {}) or {}


def _function(name: str, found: Configuration | None, variables: tuple[str, ...]) -> Iterator[Finding]:
    if found is None:
        yield error(name, "there is no such function in this account and region", _DEPLOY)
        return
    state, update = found.get("State", "Active"), found.get("LastUpdateStatus", "Successful")
    is_ready = (state, update) == ("Active", "Successful")
    if not is_ready:
        why = found.get("StateReason") or found.get("LastUpdateStatusReason") or "it does not say why"
        yield error(name, f"is {state}, its last update {update}: {why}", _DEPLOY)
    if missing := [variable for variable in variables if variable not in _variables(found)]:
        yield error(name, f"lacks the environment variable {', '.join(missing)}", _DEPLOY)
    elif is_ready:
        about = f"{found.get('Runtime')}, {found.get('MemorySize')} MB, {found.get('Timeout')} s"
        yield ok(name, f"is ready: {about}")


def _asynchronous(lambda_: Any, name: str, wanted: tuple[str, ...]) -> Iterator[Finding]:
    """Where its events go afterwards: without, a failure is lost and a success is never confirmed."""
    try:
        found = lambda_.get_function_event_invoke_config(FunctionName=name).get("DestinationConfig", {})
    except botocore.exceptions.ClientError as failure:
        if _code(failure) != "ResourceNotFoundException":
            raise
        found = {}
    if missing := [each for each in wanted if not found.get(each, {}).get("Destination")]:
        yield error(name, f"has no destination {' and '.join(missing)}", _DEPLOY)
    else:
        yield ok(name, f"has its destinations {' and '.join(wanted)}")


def _bucket(s3: Any, name: str | None) -> Iterator[Finding]:
    if not name:  # which has been said of the function
        return
    try:
        s3.head_bucket(Bucket=name)
    except botocore.exceptions.ClientError as failure:
        what = (
            "there is no such bucket"
            if _code(failure) == "404"
            else f"cannot be looked at ({_code(failure)})"
        )
        yield error(name, what, f"{_DEPLOY}, or ask for the right to list it")
        return
    try:
        blocked = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    except botocore.exceptions.ClientError as failure:
        if _code(failure) != "NoSuchPublicAccessBlockConfiguration":
            raise
        blocked = {}
    if blocked and all(blocked.values()):
        yield ok(name, "is there, and closed to the public")
    else:
        yield error(name, "is not closed to the public", f"{_DEPLOY}, which blocks all public access")


def _code(failure: botocore.exceptions.ClientError) -> str:
    return str(failure.response.get("Error", {}).get("Code", ""))
