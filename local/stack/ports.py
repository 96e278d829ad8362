"""Which port of the loopback interface every part of a stack has."""

from collections.abc import Iterable, Mapping

import msgspec

from local.postgres import free_ports, refuse_used_port
from pgevents.errors import InputError

DEFAULT_BASE = 15500
FIXED = {
    "lambda": 0,
    "postgres": 1,
    "redshift": 2,
    "aws": 3,
    "redshift control": 4,
    "redshift server": 5,
    "console": 6,
}
FIRST_SOURCE = 10
LOWEST, HIGHEST = 1_024, 65_535
"""Below these a server would need to be root, which PostgreSQL refuses to be."""


class Ports(msgspec.Struct, frozen=True):
    """A port for every part, by its name; sources as `source NAME`.

    `base` is the port that they were counted from, 0 when they were free ones.
    """

    base: int
    by_part: dict[str, int]

    def __getitem__(self, part: str) -> int:
        return self.by_part[part]

    def source(self, name: str) -> int:
        """The port of a source's server."""
        return self.by_part[source_part(name)]

    def refuse_used(self) -> None:
        """Raises InputError naming the first port that somebody listens on, and its part."""
        for part, port in self.by_part.items():
            try:
                refuse_used_port(port)
            except InputError as error:
                raise InputError(f"{part}: {error}") from error


def source_part(name: str) -> str:
    """What a source's server is called among the parts."""
    return f"source {name}"


def choose(wanted: int | None, kept: Ports | None, sources: Iterable[str]) -> Ports:
    """The ports for a start: those that were asked for, else those of the last start, else the usual ones.

    `wanted` 0 asks for free ones, which are kept too. Raises InputError for a base without room above it.
    """
    parts = {**FIXED, **{source_part(name): FIRST_SOURCE + place for place, name in enumerate(sources)}}
    if wanted is None:
        wanted = kept.base if kept else DEFAULT_BASE
    if wanted:
        return _counted(wanted, parts)
    known = (
        {name: port for name, port in kept.by_part.items() if name in parts} if kept and not kept.base else {}
    )
    return Ports(0, _completed(known, parts))


def _counted(base: int, parts: Mapping[str, int]) -> Ports:
    highest = HIGHEST - max(parts.values())
    if not LOWEST <= base <= highest:
        raise InputError(f"--port {base}: choose {LOWEST} to {highest}, or 0 for free ports")
    return Ports(base, {name: base + offset for name, offset in parts.items()})


def _completed(known: Mapping[str, int], parts: Iterable[str]) -> dict[str, int]:
    missing = [name for name in parts if name not in known]
    # Those that are kept are free, too, while their parts do not run.
    free = [port for port in free_ports(len(missing) + len(known)) if port not in known.values()]
    found = dict(zip(missing, free, strict=False))
    return {name: known.get(name) or found[name] for name in parts}
