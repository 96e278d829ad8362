"""Changes that Redshift cannot take, named one by one so that each can become a dead letter of its own."""

import msgspec

from pgevents.batch import Change, TableChanges
from pgevents.errors import TerminalError

_NAMED = 5


class Refusal(msgspec.Struct, frozen=True):
    """One change that cannot go, and why. `column` is "" when no single column is to blame."""

    target: str
    column: str
    key: dict[str, str | None]
    version: int
    reason: str

    def __str__(self) -> str:
        key = ", ".join(f"{name}={value!r}" for name, value in self.key.items())
        column = f".{self.column}" if self.column else ""
        return f"{self.target}{column} of key ({key}) at version {self.version}: {self.reason}"


class RefusedChanges(TerminalError):
    """Nothing of the batch was written, because of these changes."""

    def __init__(self, refusals: list[Refusal]) -> None:
        self.refusals = tuple(refusals)
        named = "; ".join(str(refusal) for refusal in refusals[:_NAMED])
        more = f"; and {len(refusals) - _NAMED} more" if len(refusals) > _NAMED else ""
        super().__init__(
            f"{len(refusals)} changes cannot go to Redshift: {named}{more}. "
            "The [policies] in pipeline.toml say what becomes of values that do not fit"
        )


def refusal(table: TableChanges, change: Change, column: str, reason: str) -> Refusal:
    """The refusal of one change of a table."""
    values = change.values or (None,) * len(table.columns)
    key = {table.columns[position].name: values[position] for position in table.key_positions()}
    return Refusal(table.target, column, key, change.version, reason)
