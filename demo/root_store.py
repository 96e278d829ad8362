"""The demo's input: what each release of the root store carried, and every certificate that it ever carried.

`data/root_store.jsonl.gz` holds one JSON object a line: certificates by fingerprint, then releases by date.
"""

import gzip
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from pgevents.errors import InputError

PATH = Path(__file__).parent / "data" / "root_store.jsonl.gz"


class Certificate(msgspec.Struct, frozen=True, tag_field="kind", tag="certificate", kw_only=True):
    """A root certificate, as its own bytes say.

    `fingerprint` is the SHA-256 of `der` in hexadecimal; `organisation` the issuer's O, or else its OU or CN,
    unchanged; names are in RFC 4514's form. `extensions` maps an extension's name (or dotted OID) to
    `{"critical": bool, "value": ...}` and is None when the certificate has none or they do not parse.
    """

    fingerprint: str
    organisation: str
    issuer: str
    subject: str
    serial_number: Decimal
    not_before: datetime
    not_after: datetime
    signature_algorithm: str
    key_type: str
    key_bits: int
    is_ca: bool | None
    path_length: int | None
    subject_key_id: bytes | None
    key_usage: list[str] | None
    extensions: dict[str, dict[str, Any]] | None
    der: bytes


class Release(msgspec.Struct, frozen=True, tag_field="kind", tag="release"):
    """One release of the root store: fingerprint → the label that the bundle gave the certificate."""

    version: str
    released_at: datetime
    labels: dict[str, str]


class RootStore(msgspec.Struct, frozen=True):
    """Certificates by fingerprint, and the releases in order of their date."""

    certificates: dict[str, Certificate]
    releases: tuple[Release, ...]


def load(path: Path = PATH) -> RootStore:
    """The root store's history from a file that `dump` wrote.

    Raises InputError when the file is missing or damaged.
    """
    try:
        lines = gzip.decompress(path.read_bytes()).splitlines()
        entries = [msgspec.json.decode(line, type=Certificate | Release) for line in lines]
    except (OSError, EOFError, msgspec.MsgspecError) as error:
        raise InputError(f"{path}: not readable as the demo's input ({error}); check it out again") from error
    certificates = [entry for entry in entries if isinstance(entry, Certificate)]
    releases = [entry for entry in entries if isinstance(entry, Release)]
    if not releases:
        raise InputError(f"{path}: not readable as the demo's input (no releases); check it out again")
    return RootStore({each.fingerprint: each for each in certificates}, tuple(releases))


def dump(store: RootStore) -> bytes:
    """The file's bytes: equal for equal histories under one zlib."""
    certificates = sorted(store.certificates.values(), key=lambda each: each.fingerprint)
    releases = sorted(store.releases, key=lambda each: each.released_at)
    lines = [msgspec.json.encode(entry, order="sorted") for entry in (*certificates, *releases)]
    return gzip.compress(b"\n".join(lines) + b"\n", compresslevel=9, mtime=0)
