"""What the archive in S3 comes to: of each key the newest change, unless a newer truncation took it.

The archive is a log and cannot be asked for a key. So its lines are read once into the spool; to look a key
up, the objects that were written since are read besides, and of the others the one with its newest line.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from ops.comparison.canonical import Form, Forms, as_it_is, double, hashed, number, truth
from ops.comparison.place import EVERY_KEY, NEVER, Page, Seen, Since, State, TargetShape, key_hash
from ops.comparison.spool import Spool
from pgevents.batch import Values
from transform.sinks.aws_errors import aws_errors
from transform.sinks.s3_archive import list_objects, read_object

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PAGE_ROWS = 5_000
# S3 tells seconds, and an object may be listed a moment after the time that it bears.
_MARGIN = timedelta(seconds=5)
_FORMS: dict[str, Form] = {
    "boolean": truth,
    "numeric": number,
    "real": double,
    "double precision": double,
}


class ArchivePlace:
    """The changes of a target in one sink's archive. `number` is its own in the spool."""

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        prefix: str,
        sink: str,
        shape: TargetShape,
        spool: Spool,
        number_in_spool: int,
    ) -> None:
        self.sink = sink
        self.shape = shape
        self.table = shape.name
        self.forms = Forms(
            tuple(_FORMS.get(column.type, as_it_is) for column in shape.columns), as_written=True
        )
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._spool = spool
        self._number = number_in_spool
        # What was read of the keys that were asked for last: a look asks for the same ones as the one before.
        self._standing: dict[bytes, State] = {}
        self._began_note = f"archive {sink} {shape.name} began"

    def scan(self, position: str, since: Since) -> Iterator[Page]:
        """See Place. Every line is in it, and each truncation under the hash EVERY_KEY."""
        self._begin()
        seen: list[Seen] = []
        for found in list_objects(self._client, self._bucket, self._prefix, self.shape.name, position):
            if since.at is None or found.written_at >= since.at - _MARGIN:
                for line in self._lines(found.key):
                    if line.version < since.version:
                        continue
                    seen.append(line)
                    if len(seen) >= PAGE_ROWS:
                        # Within an object: what comes twice after an interruption is the same line.
                        yield Page(seen, position, len(seen))
                        seen = []
            position = found.key
        yield Page(seen, position, len(seen))

    def look_up(self, keys: Sequence[Values]) -> dict[bytes, State]:
        """See Place."""
        asked = [key_hash(self, key) for key in keys]
        self._standing = {hash_: self._standing[hash_] for hash_ in asked if hash_ in self._standing}
        self._read_new_objects(frozenset(asked))
        truncation = self._spool.newest(self._number, EVERY_KEY)
        emptied = truncation.version if truncation else NEVER
        states: dict[bytes, State] = {}
        unread: dict[int, dict[bytes, int]] = {}
        for hash_ in asked:
            line = self._spool.newest(self._number, hash_)
            if line is None or line.digest is None or line.version <= emptied:
                states[hash_] = State(max(line.version if line else NEVER, emptied), None)
            elif hash_ in self._standing and self._standing[hash_].version == line.version:
                states[hash_] = self._standing[hash_]
            else:
                unread.setdefault(line.origin, {})[hash_] = line.version
        for origin, versions in unread.items():
            self._standing |= self._states(self._spool.origin_name(origin), versions)
        return states | {
            hash_: self._standing[hash_]
            for versions in unread.values()
            for hash_ in versions
            if hash_ in self._standing
        }

    def _begin(self) -> None:
        """Notes when the reading began, by the clock of S3: what is written later is read by `look_up`."""
        if not self._spool.noted(self._began_note):
            with aws_errors(f"list s3://{self._bucket}"):
                answer = self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1)
            headers = answer["ResponseMetadata"]["HTTPHeaders"]
            began = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
            self._spool.note(self._began_note, began.isoformat())

    def _read_new_objects(self, asked: frozenset[bytes]) -> None:
        self._spool.index_seen()
        began = datetime.fromisoformat(self._spool.noted(self._began_note)) - _MARGIN
        for found in list_objects(self._client, self._bucket, self._prefix, self.shape.name):
            if found.written_at >= began and not self._spool.has_origin(found.key):
                self._spool.add_seen(self._number, self._lines(found.key, asked))

    def _lines(self, object_key: str, asked: frozenset[bytes] = frozenset()) -> Iterator[Seen]:
        """An object's lines; the states of the keys that are asked for are kept besides."""
        origin = self._spool.origin(object_key)
        rest = self.shape.rest_positions
        for change in read_object(self._client, self._bucket, object_key, self.shape.columns):
            if change.values is None:
                yield Seen(EVERY_KEY, (), change.version, None, origin)
                continue
            key = self._key_of(change.values)
            hash_, values = key_hash(self, key), self.forms.of(change.values, rest)
            is_row = change.clause == "INSERT"
            if is_row and hash_ in asked:
                self._standing[hash_] = State(change.version, values)
            yield Seen(hash_, key, change.version, hashed(values) if is_row else None, origin)

    def _states(self, object_key: str, versions: dict[bytes, int]) -> dict[bytes, State]:
        """The rows of an object that have these versions, by the hashes of their keys."""
        states: dict[bytes, State] = {}
        for change in read_object(self._client, self._bucket, object_key, self.shape.columns):
            if change.clause == "INSERT" and change.values is not None:
                hash_ = key_hash(self, self._key_of(change.values))
                if versions.get(hash_) == change.version:
                    values = self.forms.of(change.values, self.shape.rest_positions)
                    states[hash_] = State(change.version, values)
        return states

    def _key_of(self, values: Values) -> Values:
        return tuple(values[position] for position in self.shape.key_positions)
