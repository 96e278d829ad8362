"""The result of one check, a line each."""

from collections.abc import Iterable
from typing import Literal

import msgspec

Level = Literal["ok", "warning", "error"]
_CODES: dict[Level, int] = {"ok": 0, "warning": 1, "error": 2}


class Finding(msgspec.Struct, frozen=True):
    """`where` is a name of pipeline.toml, a function or a bucket; `do` is what helps where it is not well."""

    level: Level
    where: str
    what: str
    do: str = ""


class Limits(msgspec.Struct, frozen=True):
    """From where on something is worth a warning, and from where on an error. Bytes and seconds."""

    outbox_bytes: tuple[int, int] = (1_000_000_000, 10_000_000_000)
    waiting_seconds: tuple[float, float] = (300, 3600)
    connections_share: tuple[float, float] = (0.8, 0.95)


def ok(where: str, what: str) -> Finding:
    """All is well."""
    return Finding("ok", where, what)


def warning(where: str, what: str, do: str) -> Finding:
    """It works, and somebody should look."""
    return Finding("warning", where, what, do)


def error(where: str, what: str, do: str) -> Finding:
    """It does not work."""
    return Finding("error", where, what, do)


def graded(value: float, limits: tuple[float, float], where: str, what: str, do: str) -> Finding:
    """Well below the first limit, an error from the second on."""
    level: Level = "ok" if value < limits[0] else "warning" if value < limits[1] else "error"
    return Finding(level, where, what, "" if level == "ok" else do)


def exit_code(findings: Iterable[Finding]) -> int:
    """That of the worst: 0 all is well, 1 a warning, 2 an error."""
    return max((_CODES[finding.level] for finding in findings), default=0)
