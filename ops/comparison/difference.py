"""Where a sink holds something else than it must."""

from typing import Literal

import msgspec

from pgevents.batch import Values

Kind = Literal["missing", "unexpected", "different", "duplicated"]


class Difference(msgspec.Struct, frozen=True):
    """One row that differs. `columns` names the differing ones; empty when the whole row is missing, too
    many, or there more than once."""

    key: Values
    kind: Kind
    columns: tuple[str, ...] = ()


class Compared(msgspec.Struct, frozen=True):
    """The comparison of one target in one sink: how many rows were compared, and every difference.

    `target` is the table that was compared: the target's own, or its history.
    """

    sink: str
    target: str
    rows: int
    differences: list[Difference]
