"""The verdict: what a sink's histories hold, against the generator's own record of what has committed.

A history is taken as a sequence a key: versions of rows, and deletions. It must be the sequence that the
record
has for that key, no more, no less, in that order; and between the same TRUNCATEs of the table.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Literal, NamedTuple

from bench.faults.traffic.record import Key, Record, RowChange, SourceRecord
from bench.faults.traffic.tables import TrafficTable

Kind = Literal[
    "lost", "twice", "out of order", "rolled back appeared", "never written", "source lost a commit",
    "source kept a rollback", "capture failed a write",
]  # fmt: skip


class Kept(NamedTuple):
    """One row of a history. `key` is None for a TRUNCATE; a DELETE has its key alone."""

    version: int
    clause: str
    key: Key | None
    life: int = 0
    n: int = 0
    tx: str = ""


class Finding(NamedTuple):
    """Something that breaks a promise. `where` is source, sink and table; `what` the row and its version."""

    kind: Kind
    where: str
    what: str


class _Step(NamedTuple):
    """One place in a key's sequence. `truncates` counts the TRUNCATEs of the table before it."""

    clause: str
    life: int
    n: int
    tx: str
    truncates: int


def judge_source(record: Record) -> list[Finding]:
    """Whether the sources themselves kept to their word, and capture let every write be."""
    found = [Finding("capture failed a write", "", failure) for failure in record.capture_failures]
    for name, source in record.sources.items():
        lost = source.acknowledged - source.committed
        kept = source.rolled_back & source.committed
        found += [Finding("source lost a commit", name, tx) for tx in sorted(lost)]
        found += [Finding("source kept a rollback", name, tx) for tx in sorted(kept)]
    return found


def judge_history(
    where: str, source: SourceRecord, table: TrafficTable, kept: Iterable[Kept], *, snapshots: bool = False
) -> list[Finding]:
    """Compares one history with the record of its table.

    `snapshots` says that rows may have been written again as they stood (backfill, a new epoch, a repair):
    the same
    version of a row once more is no finding then, and neither are TRUNCATEs, which a new baseline makes too.
    So it is
    for tables that settle; in what order several versions came within one statement is not looked at there.
    Of a table that the record calls resent, the versions alone are looked at: rows that capture could not see
    go from the targets without deletions of their own.
    """
    rows = sorted(kept, key=_in_order)
    if table.settles:
        return _judge_settled(where, source, table, rows)
    expected, expected_truncates = _expected(source.changes[table.name])
    held, held_truncates = _held(rows)
    found: list[Finding] = []
    if table.name in source.resent:
        expected, held = _collapsed(_versions(expected)), _collapsed(_versions(held))
    elif snapshots:
        expected, held = _collapsed(expected), _collapsed(held)
    elif held_truncates != expected_truncates:
        kind: Kind = "lost" if held_truncates < expected_truncates else "twice"
        found.append(
            Finding(kind, where, f"{held_truncates} TRUNCATEs where {expected_truncates} were committed")
        )
    for key in sorted({*expected, *held}):
        found += _judge_key(f"{where} {key}", source, expected.get(key, []), held.get(key, []))
    if table.name in source.resent:
        return [finding for finding in found if finding.kind != "twice"]
    return found


def _in_order(kept: Kept) -> tuple[int, bool]:
    return kept.version, kept.clause == "INSERT"


def _expected(changes: list[RowChange]) -> tuple[dict[Key, list[_Step]], int]:
    steps: dict[Key, list[_Step]] = defaultdict(list)
    truncates = 0
    for change in changes:
        truncates += change.op == "T"
        if change.before is not None and change.before != change.after:
            steps[change.before].append(_Step("DELETE", 0, 0, "", truncates))
        if change.after is not None:
            steps[change.after].append(_Step("INSERT", change.life, change.n, change.tx, truncates))
    return steps, truncates


def _held(rows: list[Kept]) -> tuple[dict[Key, list[_Step]], int]:
    truncated = [row.version for row in rows if row.key is None]
    steps: dict[Key, list[_Step]] = defaultdict(list)
    for row in rows:
        if row.key is not None:
            before = bisect_left(truncated, row.version)
            steps[row.key].append(_Step(row.clause, row.life, row.n, row.tx, before))
    return steps, len(truncated)


def _versions(steps: dict[Key, list[_Step]]) -> dict[Key, list[_Step]]:
    """Without deletions."""
    return {key: [step for step in of_key if step.clause == "INSERT"] for key, of_key in steps.items()}


def _collapsed(steps: dict[Key, list[_Step]]) -> dict[Key, list[_Step]]:
    """Without TRUNCATEs and without what only says again what was said before."""
    collapsed: dict[Key, list[_Step]] = {}
    for key, of_key in steps.items():
        bare = [step._replace(truncates=0) for step in of_key]
        collapsed[key] = [step for before, step in zip([None, *bare], bare, strict=False) if step != before]
    return collapsed


def _judge_key(where: str, source: SourceRecord, expected: list[_Step], held: list[_Step]) -> list[Finding]:
    if expected == held:
        return []
    missing, too_many = Counter(expected) - Counter(held), Counter(held) - Counter(expected)
    found = [Finding("lost", where, _spelled(step)) for step in missing.elements()]
    found += [_too_many(where, source, step, expected) for step in too_many.elements()]
    if found and [step._replace(truncates=0) for step in expected] != [
        step._replace(truncates=0) for step in held
    ]:
        return found
    wrong = next(step for step, right in zip(held, expected, strict=True) if step != right)
    return [Finding("out of order", where, _spelled(wrong))]


def _too_many(where: str, source: SourceRecord, step: _Step, expected: list[_Step]) -> Finding:
    if step.clause == "INSERT" and step.tx not in source.committed:
        return Finding("rolled back appeared", where, _spelled(step))
    known = any(step._replace(truncates=0) == each._replace(truncates=0) for each in expected)
    return Finding("twice" if known else "never written", where, _spelled(step))


def _judge_settled(where: str, source: SourceRecord, table: TrafficTable, rows: list[Kept]) -> list[Finding]:
    """Every version is there, none of a transaction that did not commit, and the last of each key is the
    right one.
    """
    expected, _ = _expected(source.changes[table.name])
    versions = {
        (step.life, step.n): key for key, steps in expected.items() for step in steps if step.n or step.life
    }
    held = {(row.life, row.n) for row in rows if row.clause == "INSERT"}
    found = [
        Finding("lost", f"{where} {versions[each]}", str(each)) for each in sorted(versions.keys() - held)
    ]
    for row in rows:
        if row.clause == "INSERT" and row.tx not in source.committed:
            found.append(Finding("rolled back appeared", f"{where} {row.key}", str(row)))
        elif row.clause == "INSERT" and (row.life, row.n) not in versions:
            found.append(Finding("never written", f"{where} {row.key}", str(row)))
    standing, held_standing = _standing(source.changes[table.name]), _held_standing(rows)
    for key in sorted({*standing, *held_standing}):
        if standing.get(key) != held_standing.get(key):
            what = f"it ends as {held_standing.get(key)}, committed was {standing.get(key)}"
            found.append(Finding("out of order", f"{where} {key}", what))
    return found


def _standing(changes: list[RowChange]) -> dict[Key, tuple[int, int]]:
    """The rows that stand at the end: by the lives, for keys are exchanged in no order that one could
    tell.
    """
    lives: dict[int, tuple[int, Key] | None] = {}
    for change in changes:
        if change.op == "T":
            lives.clear()
        elif change.after is None:
            lives[change.life] = None
        elif (known := lives.get(change.life, (-1, change.after))) is not None and known[0] < change.n:
            lives[change.life] = (change.n, change.after)
    return {last[1]: (life, last[0]) for life, last in lives.items() if last is not None}


def _held_standing(rows: list[Kept]) -> dict[Key, tuple[int, int]]:
    standing: dict[Key, tuple[int, int]] = {}
    for row in rows:
        if row.key is None:
            standing.clear()
        elif row.clause == "DELETE":
            standing.pop(row.key, None)
        else:
            standing[row.key] = (row.life, row.n)
    return standing


def _spelled(step: _Step) -> str:
    after = f" after {step.truncates} TRUNCATEs" if step.truncates else ""
    return (
        f"{step.clause}{after}"
        if step.clause == "DELETE"
        else f"life {step.life} n {step.n} of {step.tx}{after}"
    )
