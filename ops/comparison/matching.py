"""Which keys differ between what a place must hold and what was seen there."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TypeVar

from ops.comparison.place import EVERY_KEY, NEVER, Seen
from ops.comparison.records import Candidate, Wanted

Hashed = TypeVar("Hashed", Wanted, Seen)


def unmatched(wanted: Iterable[Wanted], seen: Iterable[Seen], *, is_log: bool) -> Iterator[Candidate]:
    """The keys whose rows are not the same on both sides. Both come in order of the hash, and what was seen
    of a key the newest first; in a log older lines of a key are no second rows."""
    wanted_by_key, seen_by_key = _by_hash(wanted), _by_hash(seen)
    must, is_there = next(wanted_by_key, None), next(seen_by_key, None)
    emptied = NEVER
    while must is not None or is_there is not None:
        if is_there is not None and is_there[0] == EVERY_KEY:
            emptied, is_there = is_there[1][0].version, next(seen_by_key, None)
            continue
        hash_ = min(side[0] for side in (must, is_there) if side is not None)
        rows, found = [], []
        if must is not None and must[0] == hash_:
            rows, must = must[1], next(wanted_by_key, None)
        if is_there is not None and is_there[0] == hash_:
            found, is_there = _living(is_there[1], emptied, is_log), next(seen_by_key, None)
        if not _are_same(rows, found):
            yield _candidate(rows, found)


def _are_same(wanted: list[Wanted], found: list[Seen]) -> bool:
    if not wanted or not found:
        return not wanted and not found
    return len(found) == 1 and found[0].digest in {row.digest for row in wanted}


def _candidate(wanted: list[Wanted], found: list[Seen]) -> Candidate:
    version = found[0].version if found else 0
    if wanted:
        return Candidate(wanted[-1].hash, wanted[-1].key, wanted[-1].source_key, version)
    return Candidate(found[0].hash, found[0].key, None, version)


def _living(seen: list[Seen], emptied: int, is_log: bool) -> list[Seen]:
    newest = seen[:1] if is_log else seen
    return [row for row in newest if row.digest is not None and row.version > emptied]


def _by_hash(rows: Iterable[Hashed]) -> Iterator[tuple[bytes, list[Hashed]]]:
    for hash_, group in groupby(rows, key=lambda row: row.hash):
        yield hash_, list(group)
