"""From captured rows to the changes of each target: routes, transforms, and which records a row owns.

A target holds, for every source row, the records that the transform makes of it. An UPDATE therefore brings the
records of the new row and takes away those that only the old row had; a DELETE takes away those of the old row.
A table without a transform is its own record, and its values are passed on as PostgreSQL printed them.
"""

import traceback
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

import msgspec

from pgevents.batch import Batch, Change, Column, TableChanges, Values
from pgevents.config import Pipeline, Route
from pgevents.errors import InputError, TerminalError
from pgevents.event import ChangeEvent, EventType, Record, Row, Version
from pgevents.transforms import transform_for
from pgevents.values import decoder, to_text
from transform.outbox import Dead, LedgerBatch, OutboxRow, TableRows

_EVENT_TYPES = {
    "I": EventType.INSERT,
    "U": EventType.UPDATE,
    "D": EventType.DELETE,
    "T": EventType.TRUNCATE,
    "S": EventType.SNAPSHOT,
}
_OUTBOX_ONLY_TYPES = {"bpchar": "text"}

DeadKeys = dict[tuple[str, Values], int]


class Routed(msgspec.Struct, frozen=True):
    """What a batch comes to: the changes for the sinks, the events that died, and how many were dropped."""

    batch: Batch
    dead: list[Dead]
    dropped: int


class Target:
    """One target of a table in one layout: its columns, its key and the changes gathered for it."""

    def __init__(self, route: Route, rows: TableRows) -> None:
        declared = route.column_types()
        source = {name: _OUTBOX_ONLY_TYPES.get(kind, kind) for name, kind in zip(rows.columns, rows.types, strict=True)}
        types = {name: kind for name, kind in source.items() if name not in route.omit} | declared
        self.route = route
        self.columns = tuple(Column(name, kind) for name, kind in types.items())
        self.key = route.key or rows.key
        if missing := [name for name in self.key if name not in types]:
            raise InputError(
                f"route of {route.table}: key column {missing[0]!r} is not among the target's columns; "
                "declare it in the route's columns or take it out of omit"
            )
        self._names = frozenset(types)
        # Where each of the target's columns stands in a captured row; None for one that only transforms fill.
        positions = {name: position for position, name in enumerate(rows.columns)}
        self._from_row = tuple(positions.get(name) for name in types)
        self._key_positions = tuple(list(types).index(name) for name in self.key)
        self.changes: list[Change] = []

    def passed_through(self, row: Values) -> Values:
        """A captured row as this target's row."""
        return tuple(None if position is None else row[position] for position in self._from_row)

    def values_of(self, record: Record) -> Values:
        """A record as this target's row; TerminalError when it has a column that the target lacks."""
        if unknown := sorted(set(record.values) - self._names):
            raise TerminalError(
                f"the record for {self.route.target_name} has a column {unknown[0]!r} that is not declared; "
                f"add it to the columns of the route of {self.route.table} in pipeline.toml"
            )
        return tuple(to_text(record.values.get(column.name)) for column in self.columns)

    def key_of(self, values: Values) -> Values:
        """The key of one of this target's rows; TerminalError when a part of it is NULL."""
        key = tuple(values[position] for position in self._key_positions)
        if None in key:
            raise TerminalError(f"the key ({', '.join(self.key)}) of a row for {self.route.target_name} has a NULL in it")
        return key

    def deletion(self, key: Values, version: int) -> Change:
        """The change that takes a row away."""
        values: list[str | None] = [None] * len(self.columns)
        for position, value in zip(self._key_positions, key, strict=True):
            values[position] = value
        return Change("DELETE", version, tuple(values))

    def gathered(self) -> TableChanges:
        """All changes gathered for this target."""
        route = self.route
        return TableChanges(route.target_name, route.mode, route.sinks, self.key, self.columns, self.changes)


class Effect(msgspec.Struct, frozen=True):
    """What one event brings to a target and what it takes away: rows, and keys."""

    brought: list[Values]
    taken: list[Values]


def route_batch(
    pipeline: Pipeline,
    source: str,
    batch: LedgerBatch,
    tables: Iterable[TableRows],
    dead_keys: DeadKeys,
    refused: Mapping[int, str] = MappingProxyType({}),
) -> Routed:
    """The changes that a batch's events make in every target.

    `dead_keys` are the rows whose events wait in the dead-letter store, and from which seq on; it is added to.
    `refused` are the events, by seq, that a sink has refused and why.
    Raises InputError when a route does not fit the table that it routes.
    """
    gathered: list[TableChanges] = []
    dead: list[Dead] = []
    dropped = 0
    for rows in tables:
        router = TableRouter(pipeline, source, batch.epoch, rows, dead_keys, refused)
        for row in rows.rows:
            router.take(row)
        gathered += [target.gathered() for target in router.targets if target.changes]
        dead += router.dead
        dropped += router.dropped
    opened_at = batch.opened_at.isoformat(timespec="microseconds")
    return Routed(Batch(source, batch.batch_id, batch.epoch, opened_at, gathered), dead, dropped)


class TableRouter:
    """Routes the events of one table in one layout."""

    def __init__(
        self,
        pipeline: Pipeline,
        source: str,
        epoch: int,
        rows: TableRows,
        dead_keys: DeadKeys,
        refused: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        self.name = f"{source}.{rows.table}"
        self.targets = [Target(route, rows) for route in pipeline.routes if route.table == self.name]
        self.dead: list[Dead] = []
        self.dropped = 0
        self._epoch = epoch
        self.rows = rows
        self._decoders = [decoder(kind) for kind in rows.types]
        self._key_positions = tuple(rows.columns.index(name) for name in rows.key)
        self._dead_keys = dead_keys
        self._refused = refused

    def take(self, row: OutboxRow) -> None:
        """Adds what the event comes to to its targets, or the event to the dead ones."""
        keys = self._keys(row)
        if row.seq in self._refused:
            self._bury(row, keys, self._refused[row.seq], "")
            return
        if any(self._dead_keys.get((self.rows.table, key), row.seq + 1) <= row.seq for key in keys):
            self._bury(row, keys, "waits behind an earlier event of the same row", "")
            return
        try:
            effects = self._effects(row)
        except InputError:
            raise
        except Exception as error:  # the user's code may raise anything
            self._bury(row, keys, f"{type(error).__name__}: {error}", traceback.format_exc())
            return
        self._add(row, effects)

    def _add(self, row: OutboxRow, effects: list[Effect]) -> None:
        version = Version(self._epoch, row.seq).number
        empty = True
        for target, effect in zip(self.targets, effects, strict=True):
            if row.op == "T":
                target.changes.append(Change("DELETE", version, None))
            target.changes.extend(target.deletion(key, version) for key in effect.taken)
            target.changes.extend(Change("INSERT", version, values) for values in effect.brought)
            empty = empty and not effect.taken and not effect.brought
        self.dropped += empty and row.op != "T"

    def _effects(self, row: OutboxRow) -> list[Effect]:
        """What the event does to each target, in the order of the targets."""
        event_type = _EVENT_TYPES[row.op]
        if event_type is EventType.TRUNCATE:
            return [Effect([], []) for _ in self.targets]
        brought, taken = self._records(row, event_type)
        if event_type is EventType.UPDATE or (event_type is EventType.DELETE and not self._transforms(event_type)):
            owned, _ = self._made_of(row.before, row, EventType.INSERT)
            for keys, target, values in zip(taken, self.targets, owned, strict=True):
                keys += [target.key_of(row_values) for row_values in values]
        return [
            _effect(target, rows, keys) for target, rows, keys in zip(self.targets, brought, taken, strict=True)
        ]

    def _records(self, row: OutboxRow, event_type: EventType) -> tuple[list[list[Values]], list[list[Values]]]:
        """The rows that the event brings to each target, and the keys that its own transform takes away."""
        if event_type is EventType.DELETE and not self._transforms(event_type):
            return self._nothing(), self._nothing()
        return self._made_of(row.before if event_type is EventType.DELETE else row.after, row, event_type)

    def _made_of(
        self, values: Values, row: OutboxRow, event_type: EventType
    ) -> tuple[list[list[Values]], list[list[Values]]]:
        """What the transform of an event type makes of a captured row: rows to bring and keys to take."""
        transform = transform_for(self.name, event_type)
        if transform is None:
            return [[target.passed_through(values)] for target in self.targets], self._nothing()
        made = transform(self._event(row, event_type, values))
        records = [made] if isinstance(made, Record) else made or []
        brought, taken = self._nothing(), self._nothing()
        for record in records:
            position, target = self._target(record)
            values_of = target.values_of(record)
            if (record.clause or ("DELETE" if event_type is EventType.DELETE else "INSERT")) == "DELETE":
                taken[position].append(target.key_of(values_of))
            else:
                brought[position].append(values_of)
        return brought, taken

    def _target(self, record: Record) -> tuple[int, Target]:
        for position, target in enumerate(self.targets):
            if record.target in (None, target.route.target_name):
                return position, target
        raise TerminalError(f"the record is for target {record.target!r}, which no route of {self.name} has")

    def _transforms(self, event_type: EventType) -> bool:
        return transform_for(self.name, event_type) is not None

    def _nothing(self) -> list[list[Values]]:
        return [[] for _ in self.targets]

    def _event(self, row: OutboxRow, event_type: EventType, values: Values) -> ChangeEvent:
        payload = self._decoded(values)
        has_before = event_type in (EventType.UPDATE, EventType.DELETE)
        return ChangeEvent(
            event_type=event_type,
            payload=payload,
            source=self.name,
            key={name: payload[name] for name in self.rows.key},
            before=self._decoded(row.before) if has_before else None,
            version=Version(self._epoch, row.seq),
            transaction_id=row.transaction_id,
            captured_at=datetime.fromisoformat(row.captured_at),
        )

    def _decoded(self, values: Values) -> Row:
        return {
            name: value if decode is None or value is None else decode(value)
            for name, decode, value in zip(self.rows.columns, self._decoders, values, strict=True)
        }

    def _keys(self, row: OutboxRow) -> list[Values]:
        """The row's keys: of the row before the change and of the row after it, where they differ both."""
        images = {"I": (row.after,), "S": (row.after,), "D": (row.before,), "U": (row.before, row.after)}.get(row.op, ())
        keys = [tuple(image[position] for position in self._key_positions) for image in images]
        return list(dict.fromkeys(keys))

    def _bury(self, row: OutboxRow, keys: list[Values], error: str, stack: str) -> None:
        for key in keys:
            self._dead_keys.setdefault((self.rows.table, key), row.seq)
        event_type = _EVENT_TYPES[row.op]
        images = {"before": row.before, "after": row.after}
        event = {"columns": self.rows.columns, "types": self.rows.types, **images, "captured_at": row.captured_at}
        self.dead.append(
            Dead(
                seq=row.seq,
                table=self.rows.table,
                event_type=event_type,
                keys=[dict(zip(self.rows.key, key, strict=True)) for key in keys],
                event=msgspec.json.encode(event),
                error=error,
                stack=stack,
            )
        )


def _effect(target: Target, brought: list[Values], taken: list[Values]) -> Effect:
    """An effect in which every key appears once: what is brought is not also taken, the last of equals counts."""
    by_key = {target.key_of(values): values for values in brought}
    return Effect(list(by_key.values()), [key for key in dict.fromkeys(taken) if key not in by_key])
