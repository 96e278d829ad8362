"""From captured rows to the changes of each target: routes, transforms, and which records a row owns.

A target holds, for every source row, the records that the transform makes of it. An UPDATE therefore brings
the records of the new row and takes away those that only the old row had; a DELETE takes away those of the
old row. A table without a transform is its own record, its values passed on as PostgreSQL printed them.
"""

import traceback
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import cast

import msgspec

from pgevents.batch import Batch, TableChanges, Values
from pgevents.config import Pipeline
from pgevents.errors import TerminalError
from pgevents.event import ChangeEvent, EventType, Record, Row, Value, Version
from pgevents.transforms import has_transform, transform_for
from pgevents.values import decoder
from transform.source.captured import Dead, LedgerBatch, OutboxRow, TableRows, keys_of
from transform.source.letters import letter_of
from transform.targets import CapturedRow, Effect, Target

_EVENT_TYPES = {
    "I": EventType.INSERT,
    "U": EventType.UPDATE,
    "D": EventType.DELETE,
    "T": EventType.TRUNCATE,
    "S": EventType.SNAPSHOT,
    # The end of a baseline, which no transform is asked about.
    "B": EventType.TRUNCATE,
}

DeadKeys = dict[tuple[str, Values], int]


class Routed(msgspec.Struct, frozen=True):
    """What a batch comes to: the changes for the sinks, the events that died, and how many were dropped."""

    batch: Batch
    dead: list[Dead]
    dropped: int


def route_batch(
    pipeline: Pipeline,
    source: str,
    batch: LedgerBatch,
    tables: Iterable[TableRows],
    dead_keys: DeadKeys,
    refused: Mapping[int, str] = MappingProxyType({}),
) -> Routed:
    """The changes that a batch's events make in every target.

    `dead_keys` are the rows whose events wait in the dead-letter store, from which version on; it is added
    to.
    `refused` are the events, by seq, that a sink has refused and why.
    Raises InputError when a route does not fit the table that it routes.
    """
    gathered: list[TableChanges] = []
    dead: list[Dead] = []
    dropped = 0
    for rows in tables:
        router = TableRouter(pipeline, source, batch.event_epoch, rows, dead_keys, refused)
        router.take_all()
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
        self._first_version = Version(epoch, 0).number
        self.rows = rows
        kinds = zip(rows.columns, rows.types, strict=True)
        self._decoded_columns = [
            (position, name, decode)
            for position, (name, kind) in enumerate(kinds)
            if (decode := decoder(kind)) is not None
        ]
        self._key_positions = rows.key_positions()
        self._dead_keys = dead_keys
        self._refused = refused

    def take_all(self) -> None:
        """Takes every event of the table, in order."""
        if not self._pass_through():
            for row in self.rows.rows:
                self.take(row)

    def _pass_through(self) -> bool:
        """Takes every event at once, if none of them can come to anything but its own row."""
        nobody_waits = not self._refused and all(table != self.rows.table for table, _ in self._dead_keys)
        if not self.targets or not nobody_waits or has_transform(self.name):
            return False
        try:
            for target in self.targets:
                target.pass_through(self.rows.rows, self._first_version)
        except TerminalError:  # a NULL in a key: one by one, that event dies and its row's later ones wait
            for target in self.targets:
                target.changes.clear()
            return False
        return True

    def take(self, row: OutboxRow) -> None:
        """Adds what the event comes to to its targets, or the event to the dead ones."""
        version = self._first_version + row.seq
        if row.seq in self._refused:
            self._bury(row, self._refused[row.seq])
            return
        if self._dead_keys and self._waits(row, version):
            self._bury(row, "waits behind an earlier event of the same row", waits=True)
            return
        try:
            effects = self._effects(row)
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            self._bury(row, _described(error), traceback.format_exc())
            return
        for target, effect in zip(self.targets, effects, strict=True):
            target.add(effect, version)
        self.dropped += not any(effect.brought or effect.taken or effect.empties for effect in effects)

    def _waits(self, row: OutboxRow, version: int) -> bool:
        keys = keys_of(row, self._key_positions)
        return any(self._dead_keys.get((self.rows.table, key), version + 1) <= version for key in keys)

    def _effects(self, row: OutboxRow) -> list[Effect]:
        """What the event does to each target, in the order of the targets."""
        event_type = _EVENT_TYPES[row.op]
        if row.op == "B" or (event_type is EventType.TRUNCATE and not self._transforms(event_type)):
            return [Effect([], [], empties=True) for _ in self.targets]
        brought, taken = self._records(row, event_type)
        if self._leaves_records(row, event_type):
            owned, _ = self._made_of(row.before, row, EventType.INSERT)
            for keys, target, values in zip(taken, self.targets, owned, strict=True):
                keys += [target.key_of(row_values) for row_values in values]
        return [target.effect(*rows) for target, *rows in zip(self.targets, brought, taken, strict=True)]

    def _records(
        self, row: OutboxRow, event_type: EventType
    ) -> tuple[list[list[Values]], list[list[Values]]]:
        """The rows that the event brings to each target, and the keys that its own transform takes away."""
        if self._is_plain_delete(event_type):
            return self._nothing(), self._nothing()
        return self._made_of(row.before if event_type is EventType.DELETE else row.after, row, event_type)

    def _made_of(
        self, values: Values, row: OutboxRow, event_type: EventType
    ) -> tuple[list[list[Values]], list[list[Values]]]:
        """What the transform of an event type makes of a captured row: rows to bring and keys to take."""
        transform = transform_for(self.name, event_type)
        if transform is None:
            return [[target.passed_through(values)] for target in self.targets], self._nothing()
        brought, taken = self._nothing(), self._nothing()
        decoded = self._decoded(values)
        # A copy: the transform may put other values into its payload.
        made_of = CapturedRow(list(decoded.values()), values)
        for record in _as_records(transform(self._event(row, event_type, decoded))):
            position, target = self._target(record)
            values_of = target.values_of(record, made_of)
            match record.clause or ("DELETE" if event_type is EventType.DELETE else "INSERT"):
                case "INSERT":
                    brought[position].append(values_of)
                case "DELETE":
                    taken[position].append(target.key_of(values_of))
                case other:
                    raise TerminalError(f"a record's clause is {other!r}; expected INSERT or DELETE")
        return brought, taken

    def _target(self, record: Record) -> tuple[int, Target]:
        for position, target in enumerate(self.targets):
            if record.target in (None, target.route.target_name):
                return position, target
        raise TerminalError(f"the record is for target {record.target!r}, which no route of {self.name} has")

    def _leaves_records(self, row: OutboxRow, event_type: EventType) -> bool:
        """Whether there is an old row whose records go, unless the new row has them too. A snapshot that puts
        right an earlier event of its row has the row of that event."""
        if event_type is EventType.SNAPSHOT:
            return row.has_before()
        return event_type is EventType.UPDATE or self._is_plain_delete(event_type)

    def _is_plain_delete(self, event_type: EventType) -> bool:
        return event_type is EventType.DELETE and not self._transforms(event_type)

    def _transforms(self, event_type: EventType) -> bool:
        return transform_for(self.name, event_type) is not None

    def _nothing(self) -> list[list[Values]]:
        return [[] for _ in self.targets]

    def _event(self, row: OutboxRow, event_type: EventType, decoded: Row) -> ChangeEvent:
        payload = {} if event_type is EventType.TRUNCATE else decoded
        has_before = event_type in (EventType.UPDATE, EventType.DELETE)
        return ChangeEvent(
            event_type=event_type,
            payload=payload,
            source=self.name,
            key={name: payload[name] for name in self.rows.key if name in payload},
            before=self._decoded(row.before) if has_before else None,
            version=Version(self._epoch, row.seq),
            transaction_id=int(row.transaction_id),
            captured_at=datetime.fromisoformat(row.captured_at),
        )

    def _decoded(self, values: Values) -> dict[str, Value]:
        row: dict[str, Value] = dict(zip(self.rows.columns, values, strict=True))
        for position, name, decode in self._decoded_columns:
            text = values[position]
            if text is not None:
                row[name] = decode(text)
        return row

    def _bury(self, row: OutboxRow, error: str, stack: str = "", waits: bool = False) -> None:
        version = self._first_version + row.seq
        keys = keys_of(row, self._key_positions)
        for key in keys:
            first = self._dead_keys.get((self.rows.table, key), version)
            self._dead_keys[self.rows.table, key] = min(first, version)
        self.dead.append(
            Dead(
                seq=row.seq,
                table=self.rows.table,
                event_type=_EVENT_TYPES[row.op],
                keys=[dict(zip(self.rows.key, key, strict=True)) for key in keys],
                event=letter_of(self.rows, row),
                error=_storable(error),
                stack=_storable(stack),
                waits=waits,
            )
        )


def _as_records(made: object) -> list[Record]:
    """What a transform has returned; TerminalError when it is nothing that a transform may return."""
    records: list[object] = [] if made is None else made if isinstance(made, list) else [made]
    for record in records:
        if not isinstance(record, Record):
            kind = type(record).__name__
            raise TerminalError(
                f"the transform returned a {kind}; expected a Record, a list of them, or None"
            )
    return cast(list[Record], records)


def _described(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # the user's own error may not even print
        return type(error).__name__


def _storable(text: str) -> str:
    """A text with what PostgreSQL cannot store spelled out."""
    return text.encode(errors="backslashreplace").decode().replace("\x00", r"\x00")
