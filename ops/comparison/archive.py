"""What the archive in S3 comes to: its changes, the newest of each key."""

from decimal import Decimal
from typing import TYPE_CHECKING

from ops.comparison.expected import Content
from pgevents.batch import Change, Values
from transform.sinks import s3_archive

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def read_archive(
    client: "S3Client", bucket: str, prefix: str, content: Content
) -> dict[Values, tuple[object, ...]]:
    """The rows that a target's changes leave standing, key → values in their canonical form."""
    names = [column.name for column in content.columns]
    positions = [names.index(name) for name in content.key]
    newest: dict[Values, Change] = {}
    truncated = 0
    for change in s3_archive.read_archive(client, bucket, prefix, content.target, content.columns):
        if change.values is None:
            truncated = max(truncated, change.version)
            continue
        key = tuple(change.values[position] for position in positions)
        if key not in newest or newest[key].version < change.version:
            newest[key] = change
    return {
        key: _as_printed(content, change.values)
        for key, change in newest.items()
        if change.clause == "INSERT" and change.version > truncated and change.values is not None
    }


def in_archive(column_type: str, text: str) -> object:
    """A value as it can be compared: the archive has numbers as the transform wrote them, 1E+2 for 100."""
    match column_type:
        case "boolean":
            return text[0]
        case "numeric":
            return str(Decimal(text).normalize())
        case "real" | "double precision":
            return str(float(text))
        case _:
            return text


def _as_printed(content: Content, values: Values) -> tuple[object, ...]:
    return tuple(
        None if value is None else in_archive(column.type, value)
        for column, value in zip(content.columns, values, strict=True)
    )
