"""botocore's errors as ours.

All of them are TransientErrors. A service that is busy or out of reach may answer the next time, and what a
person has misconfigured (a bucket, a policy) is put right by that person: no change is to blame for either.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pgevents.errors import TransientError

_GRANT = "grant it to the function's role (for a key of one's own also kms:GenerateDataKey and kms:Decrypt)"
_DEPLOY = "deploy the pipeline again, or correct the function's environment"
ADVICE = {
    "AccessDenied": _GRANT,
    "AccessDeniedException": _GRANT,
    "403": _GRANT,
    "NoSuchBucket": f"the bucket does not exist: {_DEPLOY}",
    "ResourceNotFoundException": f"the function does not exist: {_DEPLOY}",
    "PermanentRedirect": f"the bucket is in another region: {_DEPLOY}",
    "RequestEntityTooLargeException": "lower the limit for what is sent inline",
}


@contextmanager
def aws_errors(doing: str) -> Iterator[None]:
    """Raise what botocore raises as TransientError. `doing` says what was going on, after "could not"."""
    from botocore.exceptions import BotoCoreError, ClientError  # not for those who only import this

    try:
        yield
    except ClientError as error:
        answer = error.response.get("Error", {})
        code = answer.get("Code", "no code")
        advice = f"; {ADVICE[code]}" if code in ADVICE else ""
        message = f"could not {doing}: {code}: {answer.get('Message', 'no message')}{advice}"
        raise TransientError(message) from error
    except BotoCoreError as error:
        raise TransientError(f"could not {doing}: {error}") from error
