"""pipeline.toml: what is captured and where it goes, typed and checked as a whole before anything uses it."""

import tomllib
from pathlib import Path

import msgspec

from pgevents.config.checks import relation_mistakes
from pgevents.config.pipeline import (
    BATCH_BYTES,
    COLUMN_TYPES,
    Doorbell,
    Drain,
    Pipeline,
    Policies,
    PostgresSink,
    RedshiftSink,
    Route,
    S3Sink,
    Sink,
    Source,
    Table,
)
from pgevents.config.shape import shape_mistakes
from pgevents.errors import InputError

__all__ = [
    "BATCH_BYTES",
    "COLUMN_TYPES",
    "Doorbell",
    "Drain",
    "Pipeline",
    "Policies",
    "PostgresSink",
    "RedshiftSink",
    "Route",
    "S3Sink",
    "Sink",
    "Source",
    "Table",
    "load",
]


def load(path: Path) -> Pipeline:
    """The pipeline that a file describes.

    Raises InputError, in one line, naming the file, the path of the first wrong value, what was expected and
    what may be meant.
    """
    try:
        return _checked(_document(_text(path)))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise InputError(f"cannot be read ({problem}); expected a description of the pipeline") from error
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 text, at byte {error.start}; save the file as UTF-8") from error


def _document(text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise InputError("not valid TOML: nested too deeply") from error
    except ValueError as error:  # TOMLDecodeError is one, and so is int's refusal of very long numbers
        raise InputError(f"not valid TOML: {error}") from error


def _checked(document: dict[str, object]) -> Pipeline:
    try:
        pipeline = msgspec.convert(document, Pipeline)
    except msgspec.ValidationError as error:
        raise InputError(str(next(shape_mistakes(document, Pipeline), error))) from error
    if mistake := next(relation_mistakes(pipeline), None):
        raise InputError(str(mistake))
    return pipeline
