"""How a mistake in pipeline.toml is worded: where, what is wrong, what was expected, what may be meant."""

import difflib
import json
import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_VALUE = 60
_MOST_CHOICES = 12


class Mistake(NamedTuple):
    """One wrong value: where it stands, as TOML would address it, and what is wrong with it."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


def child(path: str, key: str) -> str:
    """The path of a table's entry; a key that TOML would have to quote is quoted."""
    if not _BARE_KEY.fullmatch(key):
        key = f'"{key}"' if key.isprintable() and not set(key) & {'"', "\\"} else json.dumps(key)
    return f"{path}.{key}" if path else key


def shown(value: object) -> str:
    """A value on one line, shortened."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return repr(value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}…")
        case int() if abs(value) >= 10**30:  # Python refuses to print the longest ones
            return "a number of over 30 digits"
    return str(value)


def unknown(
    value: str, expected: Collection[str], what: str, synonyms: Mapping[str, str] | None = None
) -> str:
    """The problem that `value` is not among the expected ones. `synonyms`: other systems' names → ours."""
    close = (synonyms or {}).get(value.lower()) or closest(value, expected)
    return f"{shown(value)} is not {what}; expected {one_of(expected)}{meant(close)}"


def one_of(choices: Collection[str]) -> str:
    """The choices as words, in order; the first dozen of very many."""
    ordered = [choice if choice.isprintable() else repr(choice) for choice in sorted(choices)]
    if not ordered:
        return "none, there are none"
    if len(ordered) == 1:
        return ordered[0]
    more = len(ordered) - _MOST_CHOICES
    rest = f" and {more} more" if more > 0 else ""
    return f"one of {', '.join(ordered[:_MOST_CHOICES])}{rest}"


def closest(value: str, choices: Collection[str]) -> str | None:
    """The choice that `value` may be a slip of."""
    by_lower_case = {choice.lower(): choice for choice in sorted(choices)}
    found = difflib.get_close_matches(value.lower(), by_lower_case, n=1)
    return by_lower_case[found[0]] if found else None


def meant(suggestion: str | None) -> str:
    """The question that ends a message, or nothing."""
    return f"; did you mean {suggestion!r}?" if suggestion else ""
