"""Batches for tests, and what they come to when everything is applied in order: the truth to compare with."""

import random
from collections.abc import Iterable, Sequence

from pgevents.batch import Batch, Change, Column, Mode, TableChanges, Values

Rows = dict[Values, tuple[int, Values]]


def insert(version: int, *values: str | None) -> Change:
    return Change("INSERT", version, values)


def delete(version: int, *values: str | None) -> Change:
    return Change("DELETE", version, values)


def truncate(version: int) -> Change:
    return Change("DELETE", version, None)


def table(
    changes: Iterable[Change],
    columns: str = "id bigint, name text",
    key: Sequence[str] = ("id",),
    target: str = "account",
    mode: Mode = "mirror",
) -> TableChanges:
    """Changes of one target; columns are written as `name type, name type`."""
    declared = tuple(Column(*column.strip().split(" ", 1)) for column in columns.split(","))
    return TableChanges(target, mode, ("replica",), tuple(key), declared, list(changes))


def batch(*tables: TableChanges, batch_id: int = 1, source: str = "accounts", epoch: int = 0) -> Batch:
    return Batch(source, batch_id, epoch, "2026-11-22T15:04:05Z", list(tables))


def in_order(changes: Iterable[Change], key_size: int) -> Rows:
    """The rows that are left when each change takes effect once and in order: key → (version, values)."""
    rows: Rows = {}
    for change in sorted(changes, key=lambda change: change.version):
        if change.values is None:
            rows.clear()
        elif change.clause == "INSERT":
            rows[change.values[:key_size]] = (change.version, change.values)
        else:
            rows.pop(change.values[:key_size], None)
    return rows


def traffic(chance: random.Random, keys: Sequence[Values], size: int) -> list[Change]:
    """Inserts, updates, deletes, changes of key (both sides under one version) and truncations, in order."""
    changes: list[Change] = []
    for version in range(1, size + 1):
        key = chance.choice(keys)
        kind = chance.random()
        if kind < 0.05:
            changes.append(truncate(version))
        elif kind < 0.30:
            changes.append(delete(version, *key, None))
        elif kind < 0.40:
            other = chance.choice([other for other in keys if other != key])
            changes += [delete(version, *key, None), insert(version, *other, f"moved {version}")]
        else:
            changes.append(insert(version, *key, chance.choice([None, f"v{version}", 'a"\\{},NULL'])))
    return changes


def windows(chance: random.Random, changes: Sequence[Change]) -> list[list[Change]]:
    """The changes cut into windows, a version never in two of them."""
    cut: list[list[Change]] = [[]]
    for change in changes:
        is_new_version = not cut[-1] or cut[-1][-1].version != change.version
        if cut[-1] and is_new_version and chance.random() < 0.2:
            cut.append([])
        cut[-1].append(change)
    return cut


def deliveries(chance: random.Random, changes: Sequence[Change]) -> list[tuple[int, list[Change]]]:
    """(batch id, changes) as a bad network brings them: out of order, repeated, also under other numbers."""
    arrivals = list(enumerate(windows(chance, changes), 1))
    again = [chance.choice(arrivals) for _ in arrivals]
    renumbered = [(1000 + number, part) for number, part in arrivals if chance.random() < 0.5]
    recut = list(enumerate(windows(chance, changes), 2000))
    everything = arrivals + again + renumbered + recut
    chance.shuffle(everything)
    return everything
