"""The registry behind `@on`: which function transforms which event."""

import importlib
import pkgutil
import traceback
from collections.abc import Callable, Iterable

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
                    f"{_origin(transform)}: {event_type} of {source} already has a transform, {_origin(other)}; "
                    "remove one of the two"
                )
            _registered[source, event_type] = transform
        return transform

    return register


def transform_for(source: str, event_type: EventType) -> Transform | None:
    """The function registered for these events, or None when they pass through unchanged."""
    return _registered.get((source, event_type))


def registered_sources() -> frozenset[str]:
    """Every `database.schema.table` that some transform names."""
    return frozenset(source for source, _ in _registered)


def load(package: str, known_sources: Iterable[str]) -> None:
    """Imports every module of the transforms' package, so that their `@on` lines take effect.

    Raises InputError when a module does not import, or when a transform names a table that is not captured.
    """
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        _import(f"{package}.{module.name}")
    for source in sorted(registered_sources() - set(known_sources)):
        raise InputError(f"a transform is registered for {source}, which pipeline.toml does not route; correct the name")


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except InputError:
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        line = error.lineno if isinstance(error, SyntaxError) else where.lineno
        file = error.filename if isinstance(error, SyntaxError) else where.filename
        raise InputError(f"transform {name} does not import: {file}:{line}: {type(error).__name__}: {error}") from error


def _event_types(source: str, names: Iterable[str]) -> list[EventType]:
    try:
        wanted = [EventType(name) for name in names]
    except ValueError as error:
        raise InputError(f"@on({source!r}): {error}; expected one of {', '.join(EventType)}") from error
    # A snapshot is the row as an insert would bring it: whoever transforms inserts transforms it too.
    return [*wanted, EventType.SNAPSHOT] if EventType.INSERT in wanted else wanted


def _origin(transform: Transform) -> str:
    return f"{transform.__module__}.{transform.__qualname__}"
