"""Where a sink holds something else than it must."""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec

from ops.comparison.expected import Content
from pgevents.batch import Values

Canonical = Callable[[str, str], object]
"""From a column's PostgreSQL type and text to a form in which a sink's value and the source's can be
compared."""


class Difference(msgspec.Struct, frozen=True):
    """One row that differs. `columns` names the differing ones; empty when the whole row is missing or too
    many."""

    key: Values
    kind: Literal["missing", "unexpected", "different"]
    columns: tuple[str, ...] = ()


class Compared(msgspec.Struct, frozen=True):
    """The comparison of one target in one sink: how many rows were compared, and every difference."""

    sink: str
    target: str
    rows: int
    differences: list[Difference]


def compare(
    sink: str, content: Content, found: Mapping[Values, tuple[object, ...]], canonical: Canonical
) -> Compared:
    """Compares every column of every row. `found` maps keys to rows, both in the sink's canonical form."""
    expected = {
        _canonical_key(content, key, canonical): _canonical_row(content, row, canonical)
        for key, row in content.rows.items()
    }
    return Compared(sink, content.target, len(expected), list(_differences(content, expected, found)))


def _differences(
    content: Content,
    expected: Mapping[Values, tuple[object, ...]],
    found: Mapping[Values, tuple[object, ...]],
) -> Iterable[Difference]:
    for key, row in expected.items():
        if key not in found:
            yield Difference(_shown(key), "missing")
        elif found[key] != row:
            names = [
                column.name
                for column, wanted, present in zip(content.columns, row, found[key], strict=True)
                if wanted != present
            ]
            yield Difference(_shown(key), "different", tuple(names))
    for key in found.keys() - expected.keys():
        yield Difference(_shown(key), "unexpected")


def _canonical_row(content: Content, row: Values, canonical: Canonical) -> tuple[object, ...]:
    return tuple(
        None if value is None else canonical(column.type, value)
        for column, value in zip(content.columns, row, strict=True)
    )


def _canonical_key(content: Content, key: Values, canonical: Canonical) -> Values:
    types = {column.name: column.type for column in content.columns}
    return tuple(
        None if value is None else canonical(types[name], value)  # type: ignore[misc]
        for name, value in zip(content.key, key, strict=True)
    )


def _shown(key: Values) -> Values:
    return tuple(None if part is None else str(part) for part in key)
