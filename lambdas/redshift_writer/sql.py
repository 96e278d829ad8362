"""SQL text that is safe by its type: literal templates, quoted names, quoted values and numbers only."""

from collections.abc import Iterable
from typing import LiteralString, NewType

Sql = NewType("Sql", str)
"""Text that the server may run. Only this module, `identifiers` and `literals` make it from other text."""


def sql(template: LiteralString, **parts: Sql | int) -> Sql:
    """A template with its `{parts}` filled in."""
    return Sql(template.format(**parts))


def joined(parts: Iterable[Sql], separator: LiteralString = ", ") -> Sql:
    """Pieces of SQL one after the other."""
    return Sql(separator.join(parts))
