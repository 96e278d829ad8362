"""How long after its commit a row is visible in the target, of rows that are written beside other load."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bench.capture.tables import INSERT, TABLE
from bench.peers.peer import Replicator, Site
from local.programs import ProgramFailed

FIRST = 9_000_000_000_000
"""The first key of these rows; nothing else writes there."""
_EVERY_SECONDS = 0.025
_LOOK_SECONDS = 0.002
_LONGEST_SECONDS = 60.0


@contextmanager
def watched(peer: Replicator) -> Iterator[list[float]]:
    """Writes a row every 25 ms while the block runs. At its end the list has each row's latency in ms.

    Raises ProgramFailed when a row is not visible a minute after the last one was written.
    """
    ended, all_written = threading.Event(), threading.Event()
    committed: dict[int, float] = {}
    visible: dict[int, float] = {}
    latencies: list[float] = []
    writer = threading.Thread(target=_write, args=(peer.source, committed, ended))
    reader = threading.Thread(target=_look, args=(peer.target, visible, committed, all_written))
    reader.start()
    writer.start()
    try:
        yield latencies
    finally:
        ended.set()
        writer.join()
        all_written.set()
        reader.join()
    if unseen := committed.keys() - visible.keys():
        raise ProgramFailed(f"{peer.name}: {len(unseen)} rows were not visible after {_LONGEST_SECONDS:g} s")
    latencies += [1_000 * max(0.0, visible[key] - committed[key]) for key in committed]


def percentiles(latencies: Sequence[float]) -> tuple[float, float]:
    """The 50th and the 99th."""
    ordered = sorted(latencies)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]


def _write(source: Site, committed: dict[int, float], ended: threading.Event) -> None:
    key = FIRST
    with source.connect() as connection:
        while not ended.wait(_EVERY_SECONDS):
            connection.execute(INSERT.format(key=key).encode())
            committed[key] = time.monotonic()
            key += 1


def _look(
    target: Site, visible: dict[int, float], committed: dict[int, float], all_written: threading.Event
) -> None:
    query = f"select account_id from {TABLE} where account_id > %s and account_id >= {FIRST}".encode()
    newest, deadline = 0, None
    with target.connect() as connection:
        while True:
            found = [row[0] for row in connection.execute(query, (newest,))]
            now = time.monotonic()
            visible.update(dict.fromkeys(found, now))
            newest = max([newest, *found])
            if all_written.is_set():
                deadline = deadline or now + _LONGEST_SECONDS
                if now > deadline or len(visible) >= len(committed):
                    return
            time.sleep(_LOOK_SECONDS)
