"""A place: one table of a target in one sink, and what the comparison asks of it."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec

from ops.comparison.canonical import Forms, hashed
from pgevents.batch import Column, Mode, Values


class TargetShape(msgspec.Struct, frozen=True):
    """What a target's rows look like: its columns in order, and which of them are the key."""

    name: str
    mode: Mode
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def key_positions(self) -> tuple[int, ...]:
        """Where the key's columns stand, in the key's order."""
        names = [column.name for column in self.columns]
        return tuple(names.index(name) for name in self.key)

    @property
    def rest_positions(self) -> tuple[int, ...]:
        """Where all other columns stand, in their own order."""
        return tuple(at for at, column in enumerate(self.columns) if column.name not in self.key)

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The key's columns, in the key's order."""
        return tuple(self.columns[position] for position in self.key_positions)


class Seen(NamedTuple):
    """A row that a sink holds: its key as text, its hash; None for the digest of a row that was deleted.

    `origin` is where the sink keeps it, for a sink that is read by that.
    """

    hash: bytes
    key: Values
    version: int
    digest: bytes | None
    origin: int = 0


class State(NamedTuple):
    """What a sink holds under one key at one moment.

    `values` are the canonical ones outside the key, None when there is no row. `version` is then that of the
    deletion or truncation that took it, NEVER when none is known: it tells two absences apart.
    """

    version: int
    values: Values | None
    copies: int = 1


NEVER = -1
"""The version of a truncation that has not been: rows from before the pipeline's time have version 0."""
ABSENT = State(NEVER, None)
EVERY_KEY = b""
"""The hash under which a place tells of a truncation: what is older than its version is gone."""


class Page(NamedTuple):
    """Some rows of a place, where the next ones begin, and how many rows were read for it."""

    seen: list[Seen]
    position: str
    read: int


class Since(NamedTuple):
    """From when on changes count: the version of the first one, and its time. The default takes all."""

    version: int = 0
    at: datetime | None = None


class Place(Protocol):
    """One table of a target in one sink, read in the sink's own order."""

    sink: str
    table: str
    shape: TargetShape
    forms: Forms

    def scan(self, position: str, since: Since) -> Iterator[Page]:
        """All rows behind a position ("" for the first), in pages of bounded size; with a `since` that is
        not the default only what has been brought or taken away since then."""

    def look_up(self, keys: Sequence[Values]) -> dict[bytes, State]:
        """What is there now under these keys, by the keys' hashes; a key that is not in it is ABSENT."""


def key_hash(place: Place, key: Values) -> bytes:
    """The hash of a key as a place prints it."""
    forms = [place.forms.columns[position] for position in place.shape.key_positions]
    return hashed([None if text is None else form(text) for form, text in zip(forms, key, strict=True)])
