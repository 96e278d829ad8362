"""Having rows that differ sent again through the outbox, the one way by which anything reaches a sink."""

import time
from collections.abc import Callable, Iterator, Sequence

import msgspec
import psycopg

from ops.comparison.check import TargetPlace
from ops.comparison.looks import Judge, Wait
from ops.comparison.place import key_hash
from ops.comparison.records import Candidate, Finding
from ops.comparison.source import SourceTable
from ops.comparison.spool import Spool
from ops.operator import operator
from pgevents.batch import Values
from pgevents.errors import TransientError

KEYS_A_REQUEST = 5_000
_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 120.0
_LOOKED_AT_ONCE = 1_000


def repair(
    spool: Spool,
    source: SourceTable,
    places: Sequence[TargetPlace],
    wait: Wait,
    most_looks: int,
    tell: Callable[[str], None],
) -> None:
    """Has the rows behind a table's differences sent again, waits until they are applied, and looks again.

    A stray row whose origin cannot be known from its key takes a baseline: every row of the table is sent,
    and what is older goes. Raises TransientError when a request fails or makes no progress.
    """
    baseline = False
    keys: dict[Values, None] = {}
    for page in spool.pages_of_findings(source.name, ("difference",), _LOOKED_AT_ONCE):
        for _, finding in page:
            origin = _origin(finding, source, places)
            baseline |= origin is None
            if origin is not None:
                keys[origin] = None
    if baseline and _has_refused(spool, source.name):
        baseline = False
        tell(
            f"{source.name}: stray rows stay, because rows are refused by the transform or wait in the"
            " dead-letter store: a baseline would take the last state of these away too"
        )
    if not keys and not baseline:
        return
    for request in list(_requests(source, [] if baseline else list(keys), baseline)):
        tell(f"{source.name}: request {request} sends {'every row' if baseline else 'rows'} again")
        _wait_for(source.connection, request)
    _judge_again(spool, source, places, wait, most_looks)


def _has_refused(spool: Spool, table: str) -> bool:
    return any(spool.pages_of_findings(table, ("failed", "dead"), 1))


def _origin(finding: Finding, source: SourceTable, places: Sequence[TargetPlace]) -> Values | None:
    """The key to repair; None where a stray row's own says nothing about it."""
    if finding.kind != "unexpected":
        return finding.source_key
    targets = {target for target, place in places if place.shape.key == finding.key_names}
    is_known = all(source.keeps_keys(target) for target in targets)
    return finding.source_key if is_known else None


def _requests(source: SourceTable, keys: list[Values], baseline: bool) -> Iterator[int]:
    if baseline:
        yield _requested(source, "baseline", None)
    for start in range(0, len(keys), KEYS_A_REQUEST):
        some = keys[start : start + KEYS_A_REQUEST]
        named = [dict(zip(source.key, key, strict=True)) for key in some]
        yield _requested(source, "repair", msgspec.json.encode(named).decode())


def _requested(source: SourceTable, kind: str, keys: str | None) -> int:
    row = source.connection.execute(
        "select pgevents.request_snapshot(%s, %s, %s::json, %s)",
        (source.table, kind, keys, f"reconcile by {operator()}"),
    ).fetchone()
    return int(row[0]) if row else 0


def _wait_for(connection: psycopg.Connection, request: int) -> None:
    """Waits until a request has come to its end, as long as it makes progress."""
    until, written = time.monotonic() + _PATIENCE_SECONDS, 0
    while True:
        row = connection.execute(
            "select state, row_count, error from pgevents.snapshot_request where request_id = %s", (request,)
        ).fetchone()
        state, rows, error = row or ("failed", 0, "it is gone")
        if state == "finished":
            return
        if state == "failed":
            raise TransientError(f"request {request} failed: {error}")
        if rows > written:
            until, written = time.monotonic() + _PATIENCE_SECONDS, rows
        if time.monotonic() > until:
            raise TransientError(
                f"request {request} has made no progress for {_PATIENCE_SECONDS:g} s; ./pgevents status tells"
                " what waits. It goes on by itself; run reconcile again later"
            )
        time.sleep(_POLL_SECONDS)


def _judge_again(
    spool: Spool, source: SourceTable, places: Sequence[TargetPlace], wait: Wait, most_looks: int
) -> None:
    judge = Judge(source, places, wait, most_looks)
    numbers = {(place.sink, place.table): number for number, (_, place) in enumerate(places)}
    for page in spool.pages_of_findings(source.name, ("difference",), _LOOKED_AT_ONCE):
        candidates = []
        for _, finding in page:
            at = numbers[finding.sink, finding.place]
            hash_ = key_hash(places[at][1], finding.key)
            candidates.append((at, Candidate(hash_, finding.key, finding.source_key, finding.version)))
        found = {(still.sink, still.place, still.key): still for still in judge.judge(candidates)}
        for number, finding in page:
            # What a transform refuses is said of the source row, which belongs to no place.
            still = found.get((finding.sink, finding.place, finding.key))
            still = still or found.get(("", "", finding.source_key or ()))
            if still is None:
                spool.settle(number, "repaired")
            elif still.state != "difference":
                spool.settle(number, still.state, still.why)
