"""The SQL functions of db_triggers as the files have them, to be compared with those of a database."""

import re
from functools import cache
from typing import LiteralString, NamedTuple

from db_triggers.migrations import function_files

_FUNCTION = re.compile(r"create or replace function pgevents\.(\w+)\s*\(.*?\bas \$\$(.*?)\$\$;", re.DOTALL)


class Function(NamedTuple):
    """A function of the schema pgevents and its body."""

    name: str
    body: str


@cache
def released() -> tuple[Function, ...]:
    """Every function of this version of the project."""
    found = (
        match for path in function_files() for match in _FUNCTION.findall(path.read_text(encoding="utf-8"))
    )
    return tuple(Function(name, body) for name, body in found)


def query_of(name: str) -> LiteralString:
    """The body of the only function of that name, one of SQL, as a query to be run with parameters."""
    [body] = [each.body for each in released() if each.name == name]
    return body.replace("%", "%%")
