"""Both parts, in one report."""

import argparse
import tempfile
from pathlib import Path

from bench import measure
from bench.measure import Report, facts
from bench.peers import capturing, end_to_end
from bench.peers.bed import Bed, debian
from bench.peers.peer import version
from local.postgres.binaries import Release, embedded

_QUICK_CAPTURE = capturing.Extent(seconds=1.0, rows=1_000)
_QUICK_END_TO_END = end_to_end.Extent(changes=4_000, seconds=3.0)


def measured(args: argparse.Namespace) -> Report:
    """Runs all that is installed here, on Debian's PostgreSQL where that is, else on the embedded one."""
    tell = measure.teller(args)
    release = debian() or embedded()
    report = Report("peers", facts(**_versions(release)))
    with tempfile.TemporaryDirectory(prefix="pgevents-peers-", ignore_cleanup_errors=True) as folder:
        if args.part in (None, "capture"):
            extent = _QUICK_CAPTURE if args.quick else capturing.Extent()
            with Bed(release, Path(folder, "capture"), settings=capturing.SETTINGS) as bed:
                capturing.measure(report, bed, measure.rounds(args, 3), extent, tell)
        if args.part in (None, "end-to-end"):
            replicated = _QUICK_END_TO_END if args.quick else end_to_end.Extent()
            with Bed(release, Path(folder, "end to end")) as bed:
                end_to_end.measure(report, bed, measure.rounds(args, 3), replicated, tell)
    return report


def _versions(release: Release) -> dict[str, str]:
    """Of the server, and of each peer's own package, which is its last."""
    kinds = (*capturing.CAPTURING, *end_to_end.REPLICATING)
    packages = dict.fromkeys(kind.packages[-1] for kind in kinds if kind.packages)
    found = {name: number for name in packages if (number := version(name)) is not None}
    return (
        {"PostgreSQL": str(release.major), **found}
        if release.major == 15
        else {"PostgreSQL": str(release.major)}
    )
