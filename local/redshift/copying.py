"""COPY from S3: the command as Redshift takes it, the objects that it names, and how PostgreSQL reads them.

PostgreSQL reads the same CSV from its client, so the session plays that client's part. What differs is held
to Redshift's way: NULL AS counts inside quotes too, a row has at most 4 MB, and an object that is not there
is an error and not an empty load.
"""

import re
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from local.redshift.refusals import Refusal, Refused, syntax_error
from local.redshift.tokens import Statement, words

MAX_ROW_BYTES = 4 * 1024 * 1024
_PLACE = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{2,62})/(?P<prefix>.+)", re.S)
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")
_ROW = re.compile(rb'(?:[^"\n]|"[^"]*+")*+\n?')
_UNKNOWN_HERE = words(
    """credentials access_key_id secret_access_key session_token manifest encrypted delimiter fixedwidth quote
    json avro parquet orc shapefile bzip2 lzop zstd acceptanydate acceptinvchars blanksasnull emptyasnull
    encoding escape explicit_ids fillrecord ignoreblanklines ignoreheader removequotes roundec trimblanks
    truncatecolumns comprows maxerror noload ssh readratio"""
)


class Command(NamedTuple):
    """A COPY: what PostgreSQL runs in its place, and where the rows are."""

    sql: str
    table: str
    bucket: str
    prefix: str
    gzip: bool


ReadObjects = Callable[[str, str], list[bytes]]
"""The objects of a bucket whose names begin with a prefix."""


def command_of(statement: Statement) -> Command:
    """Reads a COPY. Raises Refused for what Redshift does not take or this stand-in does not know."""
    return _Reader(statement).command()


def load_failed(table: str, reason: str) -> Refusal:
    """The answer to rows that a table does not take."""
    return Refusal(
        "XX000",
        f"Load into table '{table}' failed.  Check 'stl_load_errors' system table for details.",
        reason,
    )


def rows_of(command: Command, read: ReadObjects) -> bytes:
    """The CSV that a COPY loads. Raises Refused."""
    try:
        objects = read(command.bucket, command.prefix)
    except Exception as error:  # boto3 has many
        raise Refused(Refusal("XX000", f"S3ServiceException: {error}")) from error
    if not objects:
        raise Refused(Refusal("XX000", f"The specified S3 prefix '{command.prefix}' does not exist"))
    try:
        found = b"".join(zlib.decompress(each, wbits=31) if command.gzip else each for each in objects)
    except zlib.error as error:
        raise Refused(load_failed(command.table, f"{error}")) from error
    if len(found) > MAX_ROW_BYTES and any(len(row[0]) > MAX_ROW_BYTES for row in _ROW.finditer(found)):
        raise Refused(load_failed(command.table, "a row is longer than 4 MB"))
    return found


class _Reader:
    """Reads a COPY word by word."""

    def __init__(self, statement: Statement) -> None:
        self._statement = statement
        self._at = 1
        self._role = self._csv = self._gzip = False
        self._null = r"'\\N'"

    def command(self) -> Command:
        target_from = self._at
        self._name()
        table = self._text(target_from, self._at)
        if self._key() == "(":
            self._at = self._statement.closing(self._at) + 1
        target = self._text(target_from, self._at)
        self._expect("from")
        place = _PLACE.fullmatch(self._string()) if self._key() == "'" else None
        if place is None:
            raise Refused(_unknown("COPY from anything but S3"))
        while self._at < len(self._statement.keys):
            self._option(self._word())
        if not self._role:
            raise Refused(Refusal("42601", "COPY needs IAM_ROLE or credentials"))
        if not self._csv:
            raise Refused(_unknown("COPY in any format but CSV"))
        sql = f"copy {target} from stdin with (format csv, null {self._null}, force_null *)"
        return Command(sql, table.strip('"'), place["bucket"], place["prefix"], self._gzip)

    def _option(self, word: str) -> None:
        match word:
            case "iam_role":
                self._take_role()
            case "csv" | "format":
                self._take_format(word)
            case "gzip":
                self._gzip = True
            case "null":
                self._skip("as")
                self._null = self._raw_string()
            case "timeformat" | "dateformat":
                self._take_time_form(word)
            case "compupdate" | "statupdate":
                self._at += self._key() in ("on", "off", "true", "false", "preset")
            case _:
                is_known = word in _UNKNOWN_HERE
                raise Refused(_unknown(f"COPY {word.upper()}") if is_known else syntax_error(word))

    def _take_format(self, word: str) -> None:
        if word == "format":
            self._skip("as")
            word = self._word()
        if word != "csv":
            raise Refused(_unknown(f"COPY FORMAT {word.upper()}"))
        self._csv = True

    def _take_time_form(self, word: str) -> None:
        self._skip("as")
        if self._string().lower() != "auto":
            raise Refused(_unknown(f"{word.upper()} but 'auto'"))

    def _take_role(self) -> None:
        self._role = True
        if self._key() == "default":
            self._at += 1
        elif not _ROLE.fullmatch(role := self._string()):
            raise Refused(Refusal("XX000", f"Invalid IAM role: {role}"))

    def _key(self) -> str:
        keys = self._statement.keys
        return keys[self._at] if self._at < len(keys) else ""

    def _word(self) -> str:
        if not (word := self._key()):
            raise Refused(syntax_error("end of input"))
        self._at += 1
        return word

    def _skip(self, word: str) -> None:
        self._at += self._key() == word

    def _expect(self, word: str) -> None:
        if self._word() != word:
            raise Refused(syntax_error(self._statement.keys[self._at - 1]))

    def _name(self) -> None:
        self._word()
        if self._key() == ".":
            self._at += 2

    def _raw_string(self) -> str:
        if self._key() != "'":
            raise Refused(syntax_error(self._key() or "end of input"))
        self._at += 1
        return self._statement.tokens[self._statement.code[self._at - 1]].text

    def _string(self) -> str:
        text = self._raw_string()[1:-1].replace("''", "'")
        return re.sub(r"\\(.)", r"\1", text, flags=re.S)

    def _text(self, first: int, end: int) -> str:
        code = self._statement.code
        return "".join(token.text for token in self._statement.tokens[code[first] : code[end - 1] + 1])


def _unknown(what: str) -> Refusal:
    return Refusal("0A000", f"this stand-in for Redshift does not know {what}")


def reader(endpoint: str, access_key: str, region: str) -> ReadObjects:
    """Reads from an S3 at an address; made at the first COPY, for boto3 takes a quarter of a second."""
    made: list[Any] = []

    def client() -> Any:
        if not made:
            import boto3

            session = boto3.Session(access_key, access_key, region_name=region)
            made.append(session.client("s3", endpoint_url=endpoint))
        return made[0]

    def read(bucket: str, prefix: str) -> list[bytes]:
        pages = client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        names = [each["Key"] for page in pages for each in page.get("Contents", ())]
        return [client().get_object(Bucket=bucket, Key=name)["Body"].read() for name in names]

    return read
