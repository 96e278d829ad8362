"""One JSON object a line on standard output: what CloudWatch Logs takes as structured fields."""

import json
import sys
from datetime import UTC, datetime

import msgspec


def emit(level: str, message: str, **fields: object) -> None:
    """Writes one line: the time in UTC, the level, the message and the fields."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    sys.stdout.write(_json({"time": time, "level": level, "message": message, **fields}) + "\n")
    sys.stdout.flush()


def info(message: str, **fields: object) -> None:
    """Something happened that an operator may look for."""
    emit("INFO", message, **fields)


def warning(message: str, **fields: object) -> None:
    """Something is not as it should be, and it is being dealt with."""
    emit("WARNING", message, **fields)


def error(message: str, **fields: object) -> None:
    """Something failed that somebody has to look at."""
    emit("ERROR", message, **fields)


def _json(line: dict[str, object]) -> str:
    """The line as JSON, whatever is in it: a field that is odd must not be why a batch fails."""
    try:
        return msgspec.json.encode(line, enc_hook=repr).decode()
    except UnicodeEncodeError:
        return json.dumps(line, default=repr)
