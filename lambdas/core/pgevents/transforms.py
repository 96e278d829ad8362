"""The registry behind `@on`: which function transforms which event."""

import importlib
import importlib.util
import pkgutil
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from pgevents.config.mistakes import unknown
from pgevents.errors import InputError
from pgevents.event import ChangeEvent, EventType, Record

Transform = Callable[[ChangeEvent], Record | list[Record] | None]
"""None drops the event. An exception makes it a dead letter."""

_registered: dict[tuple[str, EventType], Transform] = {}


def on(source: str, *event_types: str) -> Callable[[Transform], Transform]:
    """Registers a function as the transform of a table's events.

    `source` is `database.schema.table`; without event types the function takes INSERT, UPDATE and SNAPSHOT.
    Raises InputError for an unknown event type or when the table's events already have a transform.
    """
    wanted = _event_types(source, event_types or ("INSERT", "UPDATE"))

    def register(transform: Transform) -> Transform:
        for event_type in wanted:
            other = _registered.get((source, event_type))
            if other is not None and _origin(other) != _origin(transform):
                raise InputError(
                    f"{_origin(transform)}: {event_type} of {source} already has a transform, "
                    f"{_origin(other)}; remove one of the two"
                )
            _registered[source, event_type] = transform
        return transform

    return register


def transform_for(source: str, event_type: EventType) -> Transform | None:
    """The function registered for these events, or None when they pass through unchanged."""
    return _registered.get((source, event_type))


def has_transform(source: str) -> bool:
    """Whether any of a table's events has a transform."""
    return any((source, event_type) in _registered for event_type in EventType)


def registered() -> list[tuple[str, str]]:
    """Every `database.schema.table` that a transform is registered for, and which function that is."""
    return sorted({(source, _origin(transform)) for (source, _), transform in _registered.items()})


def forget() -> None:
    """Takes every transform out of the registry."""
    _registered.clear()


@contextmanager
def isolated() -> Iterator[None]:
    """Within the block only what it registers itself is registered; after it, what was before."""
    before = dict(_registered)
    forget()
    try:
        yield
    finally:
        forget()
        _registered.update(before)


def refuse_unrouted(found: Iterable[tuple[str, str]], known_sources: Collection[str]) -> None:
    """Raises InputError for a transform (as `registered` lists it) of a table that no route takes."""
    for source, origin in found:
        if source not in known_sources:
            raise InputError(f"{origin}: @on: {unknown(source, known_sources, 'a routed table')}")


def import_all(package: str) -> None:
    """Imports every module of the transforms' package, so that their `@on` lines take effect.

    Raises InputError when a module does not import.
    """
    _import(package)
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        _import(f"{package}.{module.name}")


def load(package: str, known_sources: Collection[str]) -> None:
    """The same, and raises InputError besides when a transform names a table that no route takes."""
    import_all(package)
    refuse_unrouted(registered(), known_sources)


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except Exception as error:
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        message = " ".join(str(error).split())
        raise InputError(
            f"transform {name} does not import: {_place(name, error)}: {kind}{message}"
        ) from error


def _place(name: str, error: Exception) -> str:
    """file:line of the module's own line that failed, or of the deepest one when none is its own."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    spec = importlib.util.find_spec(name)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if spec and frame.filename == spec.origin]
    last = (own or frames)[-1]
    return f"{last.filename}:{last.lineno}"


def _event_types(source: str, names: Iterable[str]) -> list[EventType]:
    known = [str(event_type) for event_type in EventType]
    for name in names:
        if name not in known:
            raise InputError(f"@on({source!r}): {unknown(str(name), known, 'an event type')}")
    wanted = [EventType(name) for name in names]
    # A snapshot is the row as an insert would bring it: whoever transforms inserts transforms it too.
    return [*wanted, EventType.SNAPSHOT] if EventType.INSERT in wanted else wanted


def _origin(transform: Transform) -> str:
    """Where a function stands: two of one name in one file are still two."""
    name = f"{getattr(transform, '__module__', '')}.{getattr(transform, '__qualname__', repr(transform))}"
    code = getattr(transform, "__code__", None)
    return f"{name} (line {code.co_firstlineno})" if code else name
