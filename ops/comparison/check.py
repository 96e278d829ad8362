"""Comparing one source table with every place of its targets.

The sinks are read first and the source after them, each in pages and in its own order, so that no store has
to sort as another one does. What is read meets in the spool by the hash of its key. Keys that differ there
are looked at again. Sinks first, because a row that a place held already, and that no row of the source made
when the source was read later, is a stray one for certain, wherever a transform takes its keys from.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from ops.comparison.archive import ArchivePlace
from ops.comparison.canonical import Forms, hashed
from ops.comparison.looks import Judge, Wait, failure
from ops.comparison.matching import unmatched
from ops.comparison.place import Place, Since
from ops.comparison.records import Stage, Wanted
from ops.comparison.source import Expected, Made, SourceTable
from ops.comparison.spool import Spool
from pgevents.batch import Values

LOOKED_AT_ONCE = 1_000

PlacesOf = Callable[[SourceTable, int, int], Sequence[Place]]
"""The places of a target: the source table, the target's position, the number of the first place."""
Told = Callable[[str, int], None]
"""Is told what was read, and how many rows."""


TargetPlace = tuple[int, Place]
"""A place, behind the position of its target among those of the source table."""


class ComparedPlace(NamedTuple):
    """A place that was compared, and how many rows it must hold."""

    sink: str
    table: str
    rows: int


class Check(msgspec.Struct, frozen=True):
    """How tables are compared. `read` may also wait, to keep to a pace; `settle` may do something about the
    findings of a table while all that was read of it is still there."""

    spool: Spool
    places_of: PlacesOf
    wait: Wait
    read: Told = lambda _what, _rows: None
    settle: Callable[[SourceTable, Sequence[TargetPlace]], None] = lambda _source, _places: None
    since: Since = Since()
    most_looks: int = 10

    def compare(self, source: SourceTable) -> list[ComparedPlace]:
        """Compares a table with all its places; the findings are in the spool then.

        Goes on where an interrupted comparison of the table stopped, and does nothing for one that is done.
        """
        if done := self.spool.noted(source.name):
            return msgspec.json.decode(done, type=list[ComparedPlace])
        places = self._places(source)
        forms = _forms(places)
        for number, (_, place) in enumerate(places):
            self._read_place(source, number, place)
        if self.since.version and all(source.keeps_keys(target) for target, _ in places):
            self._read_known(source, forms)
        else:
            self._read_source(source, forms)
        self._match(source, places, forms)
        self._judge(source, places)
        self.settle(source, places)
        compared = [self._compared(places, forms, target, place) for target, place in places]
        with self.spool.page():
            self.spool.note(source.name, msgspec.json.encode(compared).decode())
            self.spool.clear()
        return compared

    def _compared(
        self, places: list[TargetPlace], forms: list[tuple[int, Forms]], target: int, place: Place
    ) -> ComparedPlace:
        rows = self.spool.count_wanted(_form_of(forms, target, place), self._known_in(places, target))
        return ComparedPlace(place.sink, place.table, rows)

    def _places(self, source: SourceTable) -> list[TargetPlace]:
        places: list[TargetPlace] = []
        for target in range(len(source.shapes)):
            places += [(target, place) for place in self.places_of(source, target, len(places))]
        return places

    def _read_place(self, source: SourceTable, number: int, place: Place) -> None:
        name = f"{source.name}, {place.sink} {place.table}"
        stage = self.spool.stage(name)
        if stage.done:
            return
        for page in place.scan(stage.position, self.since):
            stage = Stage(page.position, stage.rows + page.read)
            with self.spool.page():
                self.spool.add_seen(number, page.seen)
                self.spool.reach(name, stage)
            self.read(name, page.read)
        self.spool.reach(name, stage._replace(done=True))

    def _read_source(self, source: SourceTable, forms: list[tuple[int, Forms]]) -> None:
        name = source.name
        stage = self.spool.stage(name)
        if stage.done:
            return
        for made, position, rows in source.pages(_key(stage.position)):
            stage = Stage(_text(position), stage.rows + rows)
            with self.spool.page():
                self._keep(source, made, forms)
                self.spool.reach(name, stage)
            self.read(name, rows)
        self.spool.reach(name, stage._replace(done=True))

    def _read_known(self, source: SourceTable, forms: list[tuple[int, Forms]]) -> None:
        """Only the rows with the keys that a sink has seen change: where targets keep the source's keys."""
        name = source.name
        stage = self.spool.stage(name)
        while not stage.done:
            known = self.spool.seen_keys(bytes.fromhex(stage.position), LOOKED_AT_ONCE)
            position = known[-1][0].hex() if known else stage.position
            stage = Stage(position, stage.rows + len(known), len(known) < LOOKED_AT_ONCE)
            with self.spool.page():
                self._keep(source, source.look_up([key for _, key in known])[1], forms)
                self.spool.reach(name, stage)
            self.read(name, len(known))

    def _keep(self, source: SourceTable, made: Made, forms: list[tuple[int, Forms]]) -> None:
        for number, (target, form) in enumerate(forms):
            shape = source.shapes[target]
            rest, key_at = shape.rest_positions, shape.key_positions
            rows = (row for row in made.expected if row.target == target)
            self.spool.add_wanted(number, (_wanted(row, form, key_at, rest) for row in rows))
        self.spool.add_findings(failure(source, failed) for failed in made.failed)

    def _match(self, source: SourceTable, places: list[TargetPlace], forms: list[tuple[int, Forms]]) -> None:
        name = f"{source.name}, matched"
        if self.spool.stage(name).done:
            return
        with self.spool.page():
            for number, (target, place) in enumerate(places):
                form = _form_of(forms, target, place)
                known_in = self._known_in(places, target)
                wanted = self.spool.wanted(form, known_in)
                is_log = isinstance(place, ArchivePlace)
                self.spool.add_candidates(number, unmatched(wanted, self.spool.seen(number), is_log=is_log))
                self.spool.add_candidates(number, self.spool.unseen(number, form, known_in))
            self.spool.reach(name, Stage(done=True))

    def _judge(self, source: SourceTable, places: list[TargetPlace]) -> None:
        name = f"{source.name}, looked at again"
        judge = Judge(source, places, self.wait, self.most_looks)
        stage = self.spool.stage(name)
        while not stage.done:
            with self.spool.page():
                candidates = self.spool.take_candidates(LOOKED_AT_ONCE)
                self.spool.add_findings(judge.judge(candidates))
                stage = Stage("", stage.rows + len(candidates), len(candidates) < LOOKED_AT_ONCE)
                self.spool.reach(name, stage)
            self.read(name, len(candidates))

    def _known_in(self, places: list[TargetPlace], target: int) -> list[int]:
        """Where the keys are that count: with `since` those that a place of the target has seen change."""
        if not self.since.version:
            return []
        return [number for number, (of_target, _) in enumerate(places) if of_target == target]


def _forms(places: list[TargetPlace]) -> list[tuple[int, Forms]]:
    """Every way in which a target's rows are hashed: places that hold them alike share one."""
    forms: list[tuple[int, Forms]] = []
    for target, place in places:
        if (target, place.forms) not in forms:
            forms.append((target, place.forms))
    return forms


def _form_of(forms: list[tuple[int, Forms]], target: int, place: Place) -> int:
    return forms.index((target, place.forms))


def _wanted(row: Expected, form: Forms, key_at: Sequence[int], rest: Sequence[int]) -> Wanted:
    values = row.written if form.as_written else row.printed
    key = tuple(values[position] for position in key_at)
    return Wanted(hashed(form.of(values, key_at)), hashed(form.of(values, rest)), key, row.source_key)


def _key(position: str) -> Values:
    return tuple(msgspec.json.decode(position)) if position else ()


def _text(key: Values) -> str:
    return msgspec.json.encode(key).decode()
