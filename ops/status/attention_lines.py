"""What wants attention, in sentences that say what to do."""

from collections.abc import Iterator

from ops.status.attention import Attention, Held, Pause, Snapshot, TriedOften
from ops.status.ledger import SourceStatus

Line = tuple[str, str]
"""A sentence and its style."""


def lines_of(status: SourceStatus, option: str = "") -> Iterator[Line]:
    """Everything that is to be said of a source besides its figures; nothing when all is well.

    `option` is what leads a command to the same pipeline: ` --state .pgevents-prod`.
    """
    source, seen = status.source, status.attention
    for pause in seen.paused:
        yield _paused(source, pause, option), "yellow"
    paused = {pause.what for pause in seen.paused}
    for held in seen.held:
        yield _held(source, held, held.sink in paused), "yellow" if held.sink in paused else "red"
    for batch in seen.tried_often:
        yield _tried(source, batch, option), "red"
    if status.dead_letters:
        yield _dead(source, status.dead_letters, seen.letters_died, option), "red"
    if seen.letters_replaying:
        yield f"{source}: {seen.letters_replaying:,} dead letters are being sent again", "yellow"
    yield from _history(source, seen)


def _paused(source: str, pause: Pause, option: str) -> str:
    name = source if pause.what == "source" else pause.what
    what = "paused" if pause.what == "source" else f"sink {pause.what} is paused"
    by = f" by {pause.by}" if pause.by else ""
    why = f" ({pause.reason})" if pause.reason else ""
    since = f"{pause.since.astimezone():%Y-%m-%d %H:%M}"
    return f"{source}: {what} since {since}{by}{why}; ./pgevents resume {name}{option} ends it"


def _held(source: str, held: Held, is_paused: bool) -> str:
    what = f"{source}: {held.batches:,} batches ({held.events:,} events) are held for {held.sink}"
    return what if is_paused else f"{what} and follow when it takes them: {held.error}"


def _tried(source: str, batch: TriedOften, option: str) -> str:
    why = f": {batch.error}" if batch.error else "; the writer's log says why"
    if batch.in_the_way:
        stops = f"{source} stands still at batch {batch.batch_id}, tried {batch.attempts} times"
        return f"{stops}{why}; ./pgevents doctor{option} says whether a route does not fit its table"
    return f"{source}: batch {batch.batch_id} ({batch.state}) was tried {batch.attempts} times{why}"


def _dead(source: str, letters: int, died: int, option: str) -> str:
    behind = f", {letters - died:,} of them behind others" if letters > died else ""
    waiting = f"{source}: {letters:,} events wait in the dead-letter store{behind}"
    return f"{waiting}; ./pgevents dead-letters list{option}"


def _history(source: str, seen: Attention) -> Iterator[Line]:
    for epoch in seen.new_epochs:
        since = f"{epoch.since.astimezone():%Y-%m-%d %H:%M}"
        yield f"{source}: epoch {epoch.epoch} since {since}: {epoch.reason}", "yellow"
    for snapshot in seen.snapshots:
        yield _snapshot(source, snapshot), "red" if snapshot.state == "failed" else "cyan"


def _snapshot(source: str, snapshot: Snapshot) -> str:
    of = f" of about {snapshot.expected_rows:,}" if snapshot.expected_rows else ""
    error = f": {snapshot.error}" if snapshot.error else ""
    how_far = f"{snapshot.state}, {snapshot.rows:,}{of} rows{error}"
    return f"{source}: {snapshot.kind} of {snapshot.table} is {how_far}"
