"""The rows of a large batch as a file in S3, for COPY. What COPY might read otherwise is left to literals.

The file's name ends with a hash of its content, so whoever writes under a name writes the same: a batch that
comes twice, or again without a change that was refused, never loads another one's rows.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, compress, islice
from operator import itemgetter
from typing import NamedTuple

from pgevents.batch import Batch, Change, TableChanges
from redshift_writer.identifiers import folded, listed
from redshift_writer.literals import Quoting
from redshift_writer.plain import NULL_MARK, Plain, Texts, plain
from redshift_writer.shapes import Shape
from redshift_writer.sql import Sql, sql

COPY_BYTES = 1024 * 1024
"""From how many bytes of values on a target's rows go by COPY."""
PREFIX = "staged"
_SLICE_ROWS = 5_000
"""Rows are rendered so many at a time: their texts are not all in memory at once."""
_COMPRESSION_LEVEL = 1
_QUOTED = frozenset(("string", "document"))

PutObject = Callable[[str, str, bytes], None]
"""Writes an object of a bucket. Raises TransientError."""


class Place(NamedTuple):
    """Where files for COPY go, and the role (its ARN) by which the warehouse reads them there."""

    bucket: str
    role: str
    put: PutObject


class Copied(NamedTuple):
    """The COPY of a file that is in S3 now, and the changes that are not in it."""

    statement: Sql
    rest: list[Change]


def is_large(changes: Sequence[Change]) -> bool:
    """Whether changes carry enough bytes for COPY to be worth its while."""
    values = chain.from_iterable(change.values or () for change in changes)
    return sum(map(len, filter(None, values))) >= COPY_BYTES


class Copier:
    """Brings the rows of one batch to the warehouse by way of S3."""

    def __init__(self, place: Place, batch: Batch, quoting: Quoting) -> None:
        self._place = place
        self._batch = batch
        self._quoting = quoting

    def copy(
        self, stage: Sql, table: TableChanges, shape: Shape, changes: list[Change], newest: set[int]
    ) -> Copied | None:
        """Puts a target's rows into S3; None when it has a column that cannot go this way.

        Raises TransientError when S3 does not take them.
        """
        file = _File.of(table, shape)
        if file is None:
            return None
        for part in _slices(changes):
            file.add(part, newest)
        content = file.content()
        key = self._key(content)
        self._place.put(self._place.bucket, key, content)
        return Copied(self._statement(stage, table, key), file.rest)

    def _key(self, content: bytes) -> str:
        batch = self._batch
        digest = hashlib.sha256(content).hexdigest()[:32]
        return f"{PREFIX}/{batch.source}/{batch.epoch}-{batch.batch_id}/{digest}.csv.gz"

    def _statement(self, stage: Sql, table: TableChanges, key: str) -> Sql:
        string = self._quoting.string
        return sql(
            """copy {stage} ({columns}, "_version", "_deleted", "_newest") from {place} iam_role {role}
            format as csv gzip null as {null} timeformat 'auto' compupdate off statupdate off""",
            stage=stage,
            columns=listed(column.name for column in table.columns),
            place=string(f"s3://{self._place.bucket}/{key}"),
            role=string(self._place.role),
            null=string(NULL_MARK),
        )


class _File:
    """Rows as compressed CSV. `rest` are the changes that are not plain."""

    def __init__(self, looks: list[Plain], quoted: list[bool], key: tuple[int, ...]) -> None:
        self._looks = looks
        self._quoted = quoted
        self._key = key
        self._compressor = zlib.compressobj(_COMPRESSION_LEVEL, zlib.DEFLATED, 31)
        self._parts: list[bytes] = []
        self.rest: list[Change] = []

    @classmethod
    def of(cls, table: TableChanges, shape: Shape) -> "_File | None":
        key = table.key_positions()
        kinds = [shape.columns[folded(column.name)] for column in table.columns]
        looks: list[Plain] = []
        for at, (column, kind) in enumerate(zip(table.columns, kinds, strict=True)):
            look = plain(column.type, kind, is_key=at in key)
            if look is None:
                return None
            looks.append(look)
        return cls(looks, [kind.family in _QUOTED for kind in kinds], key)

    def add(self, changes: list[Change], newest: set[int]) -> None:
        whole = [change for change in changes if change.values is not None]
        columns: list[Texts] = []
        odd: set[int] = set()
        for at, (look, values) in enumerate(zip(self._looks, self._columns(whole), strict=True)):
            texts, unfit = look(values)
            columns.append(texts)
            odd.update(unfit)
            if at in self._key and None in values:
                odd.update(row for row, value in enumerate(values) if value is None)
        if odd:
            kept = [at not in odd for at in range(len(whole))]
            columns = [list(compress(texts, kept)) for texts in columns]
            whole = list(compress(whole, kept))
        try:
            rows = self._rows(whole, columns, newest) if whole else ""
            self._parts.append(self._compressor.compress(rows.encode()))
        except UnicodeEncodeError:
            whole = []
        if len(whole) < len(changes):
            taken = {id(change) for change in whole}
            self.rest += [change for change in changes if id(change) not in taken]

    def content(self) -> bytes:
        return b"".join((*self._parts, self._compressor.flush()))

    def _columns(self, changes: list[Change]) -> Iterator[Texts]:
        rows = [change.values or () for change in changes]
        return (list(map(itemgetter(at), rows)) for at in range(len(self._looks)))

    def _rows(self, changes: list[Change], columns: list[Texts], newest: set[int]) -> str:
        fields = [_field(texts, quoted) for texts, quoted in zip(columns, self._quoted, strict=True)]
        row = ",".join([form for form, _ in fields] + ["%d", "%s", "%s"]) + "\n"
        deleted = ["t" if change.clause == "DELETE" else "f" for change in changes]
        first = ["t" if id(change) in newest else "f" for change in changes]
        versions = [change.version for change in changes]
        return "".join(
            map(row.__mod__, zip(*(texts for _, texts in fields), versions, deleted, first, strict=True))
        )


def _field(texts: Texts, quoted: bool) -> tuple[str, Texts]:
    """How a column stands in a row's form, and what is filled in."""
    if None not in texts:
        # No value has a NUL character: `plain` leaves those to literals.
        doubled = "\0".join(map(str, texts)).replace('"', '""').split("\0") if quoted else texts
        return ('"%s"' if quoted else "%s"), doubled
    if quoted:
        marked = (NULL_MARK if text is None else '"' + text.replace('"', '""') + '"' for text in texts)
        return "%s", list(marked)
    return "%s", [NULL_MARK if text is None else text for text in texts]


def _slices(changes: list[Change]) -> Iterator[list[Change]]:
    remaining = iter(changes)
    while part := list(islice(remaining, _SLICE_ROWS)):
        yield part
