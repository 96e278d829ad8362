"""An invocation of a function and what came of it."""

import time
import uuid
from typing import Any, Literal

import msgspec

MEBIBYTE = 1024 * 1024
MAX_SYNC_PAYLOAD = 6 * MEBIBYTE
MAX_ASYNC_PAYLOAD = MEBIBYTE
MAX_RESPONSE = MAX_SYNC_PAYLOAD + 100
LOG_TAIL_BYTES = 4096

# Lambda reports every kind of function error under this one name for Python.
FunctionError = Literal["Unhandled"]


class Invocation(msgspec.Struct, frozen=True):
    """One attempt's input: a JSON text, and the caller's client context as JSON text."""

    payload: bytes
    request_id: str
    client_context: str | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What an invocation ended with: the function's response or its error as JSON text, and its log's end.

    `fatal`: the process is gone or must go, as it can take no other invocation.
    """

    payload: bytes
    error: FunctionError | None = None
    fatal: bool = False
    log_tail: bytes = b""


class ErrorReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A function error as the Runtime API and the Invoke API carry it."""

    error_type: str = msgspec.field(name="errorType")
    error_message: str = msgspec.field(name="errorMessage")


def new_request_id() -> str:
    """A request id, which an asynchronous event keeps over its retries."""
    return str(uuid.uuid4())


def trace_id() -> str:
    """An X-Ray trace header that asks for no sampling."""
    return f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Parent={uuid.uuid4().hex[:16]};Sampled=0"


def failed(error_type: str, message: str) -> Outcome:
    """The outcome of an error that the service, not the function's own code, reports."""
    report = ErrorReport(error_type=error_type, error_message=message)
    return Outcome(payload=msgspec.json.encode(report), error="Unhandled", fatal=True)


def timed_out(request_id: str, timeout_s: float) -> Outcome:
    """The function did not answer in time."""
    message = f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds"
    return failed("Sandbox.Timedout", message)


def exited(request_id: str, return_code: int) -> Outcome:
    """The function's process ended by itself; a negative code is the signal that ended it."""
    return failed("Runtime.ExitError", f"RequestId: {request_id} Error: {exit_reason(return_code)}")


def exit_reason(return_code: int) -> str:
    """Why a runtime's process ended, in Lambda's words."""
    if return_code == 0:
        return "Runtime exited without providing a reason"
    if return_code == -9:
        return "Runtime exited with error: signal: killed"
    if return_code < 0:
        return f"Runtime exited with error: signal: {-return_code}"
    return f"Runtime exited with error: exit status {return_code}"


def too_large() -> Outcome:
    """The function's response is larger than a synchronous caller may be sent."""
    message = f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE} bytes)."
    return failed("Function.ResponseSizeTooLarge", message)


def error_type(outcome: Outcome) -> str:
    """The error type that an outcome's payload names, or Unknown."""
    try:
        report: Any = msgspec.json.decode(outcome.payload)
    except msgspec.DecodeError:
        return "Unknown"
    return str(report.get("errorType") or "Unknown") if isinstance(report, dict) else "Unknown"
