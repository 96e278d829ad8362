"""The archive as the emulator has it on disk, behind the few calls of an S3 client that reading it takes.

A verdict reads every object several times, in every run; over HTTP that would cost more than all the rest.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_META = ".meta.json"


class BucketOnDisk:
    """Looks like boto3's S3 client as far as `transform.sinks.s3_archive` and `ops.comparison` use it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get_paginator(self, _operation: str) -> "BucketOnDisk":
        """Of list_objects_v2."""
        return self

    def paginate(self, Bucket: str, Prefix: str = "", StartAfter: str = "") -> Iterator[dict[str, Any]]:  # noqa: N803
        """All objects under a prefix, in the order of their keys, on one page."""
        root = self._folder / Bucket
        # Whatever begins with the prefix lies under the last folder that it names whole.
        under = root / Prefix.rpartition("/")[0]
        files = {str(file.relative_to(root)): file for file in under.rglob("*") if file.is_file()}
        wanted = sorted(
            key for key in files if key.startswith(Prefix) and key > StartAfter and not key.endswith(_META)
        )
        yield {
            "Contents": [
                {"Key": key, "LastModified": datetime.fromtimestamp(files[key].stat().st_mtime, UTC)}
                for key in wanted
            ]
        }

    def list_objects_v2(self, **_asked: object) -> dict[str, Any]:
        """Only that there is an answer, and no date in it."""
        return {"ResponseMetadata": {"HTTPHeaders": {}}}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        """An object's body."""
        return {"Body": Body((self._folder / Bucket / Key).read_bytes())}


class Body:
    """An object's content."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def iter_chunks(self, _size: int = 0) -> Iterator[bytes]:
        """All of it, in one piece."""
        yield self._content

    def read(self) -> bytes:
        """All of it."""
        return self._content
