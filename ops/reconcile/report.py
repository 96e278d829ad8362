"""What a run of reconcile found, for a person and for a program."""

import sys
from collections.abc import Iterator
from typing import TextIO

import msgspec

from ops.comparison.check import ComparedPlace
from ops.comparison.records import Finding
from ops.reconcile.run import Outcome

SHOWN_OF_EACH = 20
"""Keys that are printed of one table, sink and state; --json has all."""
EQUAL, DIFFERENT, NOT_JUDGED = 0, 3, 1

_WORDS = {
    "difference": "different",
    "dead": "in the dead-letter store",
    "failed": "refused by the transform",
    "busy": "too busy to judge",
    "waiting": "not judged",
    "repaired": "repaired",
}
_DIFFERS = ("difference", "dead", "failed")


def exit_code(outcome: Outcome) -> int:
    """0 when nothing differs, 3 when something does, 1 when too little was applied to say."""
    counts = _totals(outcome)
    if any(counts.get(state) for state in _DIFFERS):
        return DIFFERENT
    return NOT_JUDGED if counts.get("waiting") or outcome.unapplied else EQUAL


def print_text(outcome: Outcome, out: TextIO = sys.stdout) -> None:
    """A line for each place, then the keys, then the sum."""
    counts = outcome.spool.counts()
    width = max((len(place.table) for _, places in outcome.tables for place in places), default=0)
    for name, places in outcome.tables:
        print(name, file=out)
        for place in places:
            print(f"  {place.sink:<16} {place.table:<{width}} {place.rows:>12,} rows  {_said(counts, place)}",
                  file=out)  # fmt: skip
    shown: dict[tuple[str, str, str, str], int] = {}
    for _, finding in outcome.spool.findings():
        of = (finding.table, finding.sink, finding.place, finding.state)
        shown[of] = shown.get(of, 0) + 1
        if shown[of] <= SHOWN_OF_EACH:
            print(f"  {_line(finding)}", file=out)
    for (_, sink, table, state), count in shown.items():
        if count > SHOWN_OF_EACH:
            more = f"{count - SHOWN_OF_EACH:,} more {_WORDS[state]}"
            print(f"  {sink} {table}: and {more}; --json lists them", file=out)
    for source, events in outcome.unapplied.items():
        what = f"{events:,} events are not in every sink yet, and what they changed was not compared"
        print(f"  {source}: {what}: ./pgevents status tells why", file=out)
    print(_sum(outcome), file=out)


def print_json(outcome: Outcome, out: TextIO = sys.stdout) -> None:
    """One object; written as it is read, so that it may be long."""
    totals = _totals(outcome)
    head = {
        "equal": exit_code(outcome) == EQUAL and not totals.get("busy"),
        "began_at": outcome.began_at,
        "resumed": outcome.resumed,
        "rows_read": outcome.rows,
        "seconds": round(outcome.seconds, 3),
        "counts": {state: totals.get(state, 0) for state in _WORDS},
        "unapplied": dict(outcome.unapplied),
        "compared": [
            {"table": name, "sink": place.sink, "target": place.table, "rows": place.rows}
            for name, places in outcome.tables
            for place in places
        ],
    }
    out.write(msgspec.json.encode(head).decode().removesuffix("}") + ',"findings":[')
    for position, finding in enumerate(_objects(outcome)):
        out.write(("," if position else "") + msgspec.json.encode(finding).decode())
    out.write("]}\n")


def _objects(outcome: Outcome) -> Iterator[dict[str, object]]:
    for _, finding in outcome.spool.findings():
        yield {
            "table": finding.table,
            "sink": finding.sink or None,
            "target": finding.place or None,
            "key": dict(zip(finding.key_names, finding.key, strict=True)),
            "state": finding.state,
            "kind": finding.kind,
            "columns": finding.columns,
            "version": finding.version or None,
            "why": finding.why or None,
        }


def _said(counts: dict[tuple[str, str, str], int], place: ComparedPlace) -> str:
    said = [
        f"{count:,} {word}"
        for state, word in _WORDS.items()
        if (count := counts.get((place.sink, place.table, state), 0))
    ]
    return ", ".join(said) or "equal"


def _line(finding: Finding) -> str:
    key = ", ".join(
        f"{name} = {'null' if part is None else part}"
        for name, part in zip(finding.key_names, finding.key, strict=True)
    )
    where = f"{finding.sink} {finding.place}" if finding.sink else finding.table
    what = {"different": "differs in " + ", ".join(finding.columns)}.get(
        finding.kind or "", f"is {finding.kind}" if finding.kind else ""
    )
    state = "" if finding.state == "difference" else _WORDS[finding.state]
    why = f" ({finding.why})" if finding.why else ""
    return f"{where} ({key}): {', '.join(filter(None, [what, state]))}{why}"


def _sum(outcome: Outcome) -> str:
    totals = _totals(outcome)
    rows = sum(place.rows for _, places in outcome.tables for place in places)
    said = [f"{totals[state]:,} {word}" for state, word in _WORDS.items() if totals.get(state)]
    rate = outcome.rows / outcome.seconds if outcome.seconds else 0.0
    read = f"{outcome.rows:,} rows read in {outcome.seconds:.1f} s ({rate:,.0f} rows/s)"
    equal = "no difference, as far as it could be seen" if outcome.unapplied else "all equal"
    return f"{rows:,} rows compared: {', '.join(said) or equal}; {read}"


def _totals(outcome: Outcome) -> dict[str, int]:
    totals: dict[str, int] = {}
    for (_, _, state), count in outcome.spool.counts().items():
        totals[state] = totals.get(state, 0) + count
    return totals
