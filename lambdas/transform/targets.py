"""What a captured table's events come to in one target: its columns, its key, its changes."""

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from operator import itemgetter
from typing import NamedTuple

import msgspec

from pgevents.batch import Change, Column, TableChanges, Values
from pgevents.config import Route
from pgevents.errors import InputError, TerminalError
from pgevents.event import Record, Value
from pgevents.values import to_text
from transform.source.captured import OutboxRow, TableRows

# Types in which one value has several texts: a row's key may change from 1.0 to 1.00 and still be the same.
_INEXACT_TYPES = frozenset(("numeric", "real", "double precision"))
_OUTBOX_ONLY_TYPES = {"bpchar": "text"}


class CapturedRow(NamedTuple):
    """A row that a transform is given: what it sees of each column, and the column's text."""

    values: list[Value]
    texts: Values


class Effect(msgspec.Struct, frozen=True):
    """What one event does to a target: rows to bring, keys to take away (each key once), or to empty it."""

    brought: list[Values]
    taken: list[Values]
    empties: bool = False


class Target:
    """One target of a table in one layout: its columns, its key and the changes gathered for it."""

    def __init__(self, route: Route, rows: TableRows) -> None:
        declared = route.column_types()
        captured = dict(
            zip(rows.columns, (_OUTBOX_ONLY_TYPES.get(kind, kind) for kind in rows.types), strict=True)
        )
        types = {name: kind for name, kind in captured.items() if name not in route.omit} | declared
        self.route = route
        self.columns = tuple(Column(name, kind) for name, kind in types.items())
        self.key = route.key or rows.key
        if missing := [name for name in self.key if name not in types]:
            raise InputError(
                f"route of {route.table}: key column {missing[0]!r} is not among the target's columns; "
                "declare it in the route's columns or take it out of omit"
            )
        self._names = frozenset(types) | frozenset(route.omit)
        # Where each of the target's columns stands in a captured row; None for one that only transforms fill.
        positions = {name: position for position, name in enumerate(rows.columns)}
        self._from_row = tuple(positions.get(name) for name in types)
        self._positions = tuple(zip(types, self._from_row, strict=True))
        self._is_whole_row = self._from_row == tuple(range(len(rows.columns)))
        self._key_positions = tuple(list(types).index(name) for name in self.key)
        self._inexact = [types[name] in _INEXACT_TYPES for name in self.key]
        self.changes: list[Change] = []

    def passed_through(self, row: Values) -> Values:
        """A captured row as this target's row."""
        if self._is_whole_row:
            return row
        return tuple([None if position is None else row[position] for position in self._from_row])

    def pass_through(self, rows: Iterable[OutboxRow], first_version: int) -> None:
        """Gathers what the events of a table without transforms come to.

        Raises TerminalError at the first key with a NULL. Most events of most tables come by here: an insert,
        or an update that leaves the key alone, costs no call but one for a row that is not whole.
        """
        gather, is_whole = self.changes.append, self._is_whole_row
        part_of_key = itemgetter(*self._key_positions)
        has_one_part = len(self.key) == 1
        for row in rows:
            version = first_version + row.seq
            if row.op == "I" or row.op == "U":
                values = row.after if is_whole else self.passed_through(row.after)
                old = None if row.op == "I" else row.before if is_whole else self.passed_through(row.before)
                key = part_of_key(values)
                is_known = key is not None if has_one_part else None not in key
                if is_known and (old is None or part_of_key(old) == key):
                    gather(Change("INSERT", version, values))
                    continue
            self.add(self._passed_effect(row), version)

    def _passed_effect(self, row: OutboxRow) -> Effect:
        """What an event comes to that no transform is asked about."""
        if row.op in "TB":
            return Effect([], [], empties=True)
        if row.op == "D":
            return Effect([], [self.key_of(self.passed_through(row.before))])
        taken = []
        if row.op == "U" or row.has_before():
            taken.append(self.key_of(self.passed_through(row.before)))
        return self.effect([self.passed_through(row.after)], taken)

    def values_of(self, record: Record, made_of: CapturedRow) -> Values:
        """A record as this target's row; TerminalError when a column is unknown here or its value is none.

        Columns that the route omits are left out: a record is mostly the event's payload and some more. A
        value that is the captured one itself has the captured text.
        """
        values = record.values
        if not values.keys() <= self._names:
            unknown = min(values.keys() - self._names)
            raise TerminalError(
                f"the record for {self.route.target_name} has a column {unknown!r} that is not declared; "
                f"add it to the columns of the route of {self.route.table} in pipeline.toml"
            )
        texts: list[str | None] = []
        captured, captured_texts = made_of
        try:
            for name, position in self._positions:
                value = values.get(name)
                if position is not None and value is captured[position]:
                    texts.append(captured_texts[position])
                else:
                    texts.append(to_text(value))
        except (TypeError, ValueError) as error:
            raise TerminalError(
                f"column {name!r} of the record for {self.route.target_name}: {error}"
            ) from error
        return tuple(texts)

    def key_of(self, values: Values) -> Values:
        """The key of one of this target's rows; TerminalError when a part of it is NULL."""
        key = tuple([values[position] for position in self._key_positions])
        if None in key:
            raise TerminalError(
                f"the key of a row for {self.route.target_name} has a NULL: {self._spelled(key)}"
            )
        return key

    def effect(self, brought: list[Values], taken: list[Values]) -> Effect:
        """What an event does here. What it brings it does not also take away.

        Raises TerminalError when it brings two different rows with one key: one of them would be lost.
        """
        if len(brought) == 1 and not taken:
            self.key_of(brought[0])
            return Effect(brought, taken)
        by_key: dict[object, Values] = {}
        for values in brought:
            key = self.key_of(values)
            if by_key.setdefault(self._compared(key), values) != values:
                raise TerminalError(
                    f"two records for {self.route.target_name} have one key, {self._spelled(key)}; "
                    "one of them would be lost: give them different keys or make one of them"
                )
        only_taken = [key for key in dict.fromkeys(taken) if self._compared(key) not in by_key]
        return Effect(list(by_key.values()), only_taken)

    def add(self, effect: Effect, version: int) -> None:
        """Gathers an event's effect."""
        if effect.empties:
            self.changes.append(Change("DELETE", version, None))
        self.changes.extend(self._deletion(key, version) for key in effect.taken)
        self.changes.extend(Change("INSERT", version, values) for values in effect.brought)

    def gathered(self) -> TableChanges:
        """All changes gathered for this target."""
        route = self.route
        return TableChanges(route.target_name, route.mode, route.sinks, self.key, self.columns, self.changes)

    def _compared(self, key: Values) -> object:
        """The key in a form that is equal for equal values."""
        if not any(self._inexact):
            return key
        return tuple(
            _number(text) if inexact and text else text
            for inexact, text in zip(self._inexact, key, strict=True)
        )

    def _spelled(self, key: Values) -> str:
        return ", ".join(f"{name} = {value!r}" for name, value in zip(self.key, key, strict=True))

    def _deletion(self, key: Values, version: int) -> Change:
        values: list[str | None] = [None] * len(self.columns)
        for position, value in zip(self._key_positions, key, strict=True):
            values[position] = value
        return Change("DELETE", version, tuple(values))


def _number(text: str) -> Decimal | str:
    try:
        number = Decimal(text)
    except InvalidOperation:  # a transform's own text; the sinks will say what is wrong with it
        return text
    return text if number.is_nan() else number
