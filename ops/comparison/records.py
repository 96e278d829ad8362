"""What the spool keeps besides the rows that a place holds."""

from typing import NamedTuple

from ops.comparison.difference import Kind
from pgevents.batch import Values


class Wanted(NamedTuple):
    """A row that a place must hold; `source_key` is of the source row that it is made of."""

    hash: bytes
    digest: bytes
    key: Values
    source_key: Values


class Candidate(NamedTuple):
    """A key that differed when it was read. `version` is the row's in the sink then, 0 for no row."""

    hash: bytes
    key: Values
    source_key: Values | None
    version: int


class Finding(NamedTuple):
    """What became of a key that differed.

    `state`: difference; dead, when events of its row wait in the dead-letter store; busy, when it changed
    faster than it could be looked at; failed, when its row does not go through its transform; waiting, when
    what had been committed was not applied in time; repaired. `why` says more where there is more to say.
    """

    table: str
    sink: str
    place: str
    kind: Kind | None
    key: Values
    key_names: tuple[str, ...]
    columns: tuple[str, ...]
    source_key: Values | None
    version: int
    state: str
    why: str = ""


class Stage(NamedTuple):
    """How far one reading has come: where it goes on, after how many rows, and whether it is done."""

    position: str = ""
    rows: int = 0
    done: bool = False
