"""Looking again at keys that differed, until each is equal, different for certain, or too busy.

A difference counts when the place held the same before a snapshot of the source was taken and still holds it
after every event visible in that snapshot has been applied. For then, if the pipeline is right, the newest
event of the row in the place was committed before the snapshot, and the source's row in the snapshot was
made by that event or an earlier one: they are equal. So a writer, however fast, makes no false alarm. It can
only keep a row of the place from standing still for the length of a look; such keys are named as busy.
"""

from collections.abc import Callable, Sequence

from ops.comparison.difference import Kind
from ops.comparison.place import ABSENT, Place, State, key_hash
from ops.comparison.records import Candidate, Finding
from ops.comparison.source import Failed, Made, SourceTable
from pgevents.batch import Values

Wait = Callable[[str], bool]
"""Waits until everything visible in a snapshot has been applied; False when it was not in time."""


class Judge:
    """Judges keys of a source table's places, all of them with one look: the wait is what a look costs."""

    def __init__(
        self, source: SourceTable, places: Sequence[tuple[int, Place]], wait: Wait, most_looks: int
    ) -> None:
        self._source = source
        self._places = places
        self._wait = wait
        self._most_looks = most_looks

    def judge(self, candidates: Sequence[tuple[int, Candidate]]) -> list[Finding]:
        """What became of these keys, each behind the number of its place; equal ones are not in it."""
        trials = [
            _Trial(self._source, target, place, [c for at, c in candidates if at == number])
            for number, (target, place) in enumerate(self._places)
        ]
        findings: list[Finding] = []
        for _ in range(self._most_looks):
            trials = [trial for trial in trials if trial.pending]
            if not trials:
                return findings
            snapshot, made = self._source.look_up([key for trial in trials for key in trial.origins()])
            if not self._wait(snapshot):
                why = "events committed before the look are not applied yet"
                return findings + [found for trial in trials for found in trial.left("waiting", why)]
            for trial in trials:
                findings += trial.look(made)
        why = f"it changed between any two of {self._most_looks} looks"
        return findings + [found for trial in trials for found in trial.left("busy", why)]


class _Trial:
    """The keys of one place that are not judged yet, and what the place held under them before."""

    def __init__(
        self, source: SourceTable, target: int, place: Place, candidates: Sequence[Candidate]
    ) -> None:
        self.pending = {candidate.hash: candidate for candidate in candidates}
        self._source = source
        self._target = target
        self._place = place
        self._keeps_keys = source.keeps_keys(target)
        self._before = self._states() if candidates else {}

    def origins(self) -> list[Values]:
        """The keys of the source rows behind the pending keys, as far as they are known."""
        known = (self._origin(candidate) for candidate in self.pending.values())
        return [key for key in known if key is not None]

    def look(self, made: Made) -> list[Finding]:
        """Judges what can be judged: `made` is of a snapshot all of which has been applied since."""
        wanted = self._wanted(made)
        failed = {failure.source_key: failure.error for failure in made.failed}
        after = self._states()
        findings: list[Finding] = []
        for hash_, candidate in list(self.pending.items()):
            origin = self._origin(candidate)
            if origin is not None and origin in failed:
                verdict: list[Finding] | None = [failure(self._source, Failed(origin, failed[origin]))]
            else:
                verdict = self._verdict(candidate, wanted.get(hash_), self._before[hash_], after[hash_])
            if verdict is not None:
                del self.pending[hash_]
                findings += verdict
        self._before = after
        return findings

    def left(self, state: str, why: str) -> list[Finding]:
        """What is said of the keys that are still pending."""
        return [self._finding(candidate, state, why=why) for candidate in self.pending.values()]

    def _states(self) -> dict[bytes, State]:
        found = self._place.look_up([candidate.key for candidate in self.pending.values()])
        return {hash_: found.get(hash_, ABSENT) for hash_ in self.pending}

    def _wanted(self, made: Made) -> dict[bytes, Values]:
        """The values that the place must hold, by the hash of the key."""
        forms, shape = self._place.forms, self._place.shape
        wanted: dict[bytes, Values] = {}
        for row in made.expected:
            if row.target == self._target:
                values = row.written if forms.as_written else row.printed
                key = tuple(values[position] for position in shape.key_positions)
                wanted[key_hash(self._place, key)] = forms.of(values, shape.rest_positions)
        return wanted

    def _origin(self, candidate: Candidate) -> Values | None:
        """The key of the source row: known, or where the names say so a guess that the look will prove."""
        is_named_alike = self._place.shape.key == self._source.key
        return candidate.source_key or (candidate.key if is_named_alike else None)

    def _verdict(
        self, candidate: Candidate, wanted: Values | None, before: State, after: State
    ) -> list[Finding] | None:
        """None for another look, nothing for a key that is equal."""
        if after.values == wanted and after.copies == 1:
            return []
        if after != before:
            return None
        if wanted is None and not self._keeps_keys and after.version != candidate.version:
            # It came after the source was read through: whichever row it is made of was not looked at.
            return None
        kind, columns = self._difference(wanted, after)
        return [self._finding(candidate, "difference", kind, columns, version=after.version)]

    def _difference(self, wanted: Values | None, found: State) -> tuple[Kind, tuple[str, ...]]:
        if wanted is None:
            return "unexpected", ()
        if found.values is None:
            return "missing", ()
        names = [self._place.shape.columns[position].name for position in self._place.shape.rest_positions]
        columns = [
            name for name, must, is_there in zip(names, wanted, found.values, strict=True) if must != is_there
        ]
        return ("different", tuple(columns)) if columns else ("duplicated", ())

    def _finding(
        self,
        candidate: Candidate,
        state: str,
        kind: Kind | None = None,
        columns: tuple[str, ...] = (),
        *,
        why: str = "",
        version: int = 0,
    ) -> Finding:
        return Finding(
            self._source.name, self._place.sink, self._place.table, kind, candidate.key,
            self._place.shape.key, columns, self._origin(candidate), version, state, why,
        )  # fmt: skip


def failure(source: SourceTable, failed: Failed) -> Finding:
    """What is said of a source row that does not go through its transform; it belongs to no place."""
    return Finding(
        source.name, "", "", None, failed.source_key, source.key, (), failed.source_key, 0, "failed",
        failed.error,
    )  # fmt: skip
