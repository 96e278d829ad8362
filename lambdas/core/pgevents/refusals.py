"""Changes that a target refuses, named one by one so that each can become a dead letter of its own."""

from collections.abc import Sequence

import msgspec

from pgevents.batch import Change, TableChanges
from pgevents.errors import TerminalError


class Refusal(msgspec.Struct, frozen=True):
    """One change that a target cannot take, and what stood in its way."""

    target: str
    key: dict[str, str | None]
    version: int
    reason: str
    column: str | None = None
    constraint: str | None = None

    def __str__(self) -> str:
        key = ", ".join(f"{name}={value}" for name, value in self.key.items()) or "every row"
        place = f", column {self.column}" if self.column else ""
        place += f", constraint {self.constraint}" if self.constraint else ""
        return f"{self.target} ({key}){place}: {self.reason}"


class RefusedChanges(TerminalError):
    """Nothing of the batch was written, because of these changes.

    Take them out of the batch (they are the dead letters) and apply the rest again.
    """

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self.refusals = tuple(refusals)
        more = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
        super().__init__(f"{refusals[0]}{more}")


def refusal(
    table: TableChanges, change: Change, reason: str, column: str | None = None, constraint: str | None = None
) -> Refusal:
    """The refusal of one change of a table."""
    values = change.values or ()
    key = {table.columns[at].name: values[at] for at in table.key_positions()} if values else {}
    return Refusal(table.target, key, change.version, reason, column, constraint)


def incomplete_keys(table: TableChanges) -> list[Refusal]:
    """A refusal for each change with a NULL in its key: no row of a target could be told by it."""
    positions = table.key_positions()
    return [
        refusal(table, change, "a key column is NULL, so no row can be told by it", table.columns[at].name)
        for change in table.changes
        if change.values is not None
        for at in positions
        if change.values[at] is None
    ]
