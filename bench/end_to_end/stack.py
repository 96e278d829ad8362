"""A whole local stack to be measured, over the bench's own pipeline."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.end_to_end.project import TABLE, pipeline
from bench.faults.arena import Arena
from local.stack.pace import Pace
from local.stack.project import make_project

# A busy machine imports slowly, and that is not measured here.
_PACE = Pace(imports=60.0)


@contextmanager
def measured_stack(sources: Sequence[str], described: str = "") -> Iterator[Arena]:
    """A stack that runs for the length of a block, with these sources. Raises ProgramFailed.

    `described` is its pipeline.toml, where that is not the usual one.
    """
    with tempfile.TemporaryDirectory(prefix="pgevents-bench-", ignore_cleanup_errors=True) as folder:
        project = make_project(
            Path(folder) / "project", dict.fromkeys(sources, TABLE), described or pipeline(sources)
        )
        arena = Arena(project, Path(folder) / "state", _PACE)
        try:
            arena.start()
            yield arena
        finally:
            arena.stop()
