"""A release of certifi as PyPI serves it: the archive, and the bundle of labelled certificates in it."""

import base64
import re
import tarfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

BUNDLE = "certifi/cacert.pem"

_CERTIFICATE = re.compile(
    r"(?P<heading>[^\n]*(?:\n[^\n]*)*?)\n"
    r"-----BEGIN CERTIFICATE-----\n(?P<body>.+?)\n-----END CERTIFICATE-----",
    re.DOTALL,
)
_LABEL_COMMENT = re.compile(r'^# Label: "(?P<label>.*)"$', re.MULTILINE)
_LABEL_UNDERLINED = re.compile(r"^(?P<label>[^\n]+)\n=+$", re.MULTILINE)


class Archive(NamedTuple):
    """The bundle's text, and when the newest file of the archive was written (UTC, as the archive says)."""

    text: str
    written_at: datetime


def open_archive(path: Path) -> Archive:
    """Reads a wheel or a source archive.

    Raises ValueError when it holds no bundle.
    """
    return _open_wheel(path) if path.suffix == ".whl" else _open_source(path)


def labelled_certificates(text: str) -> Iterator[tuple[str, bytes]]:
    """Every certificate of a bundle as (label, DER), in the bundle's order.

    A label is a comment above the certificate, in bundles before 2013 an underlined heading; it is taken as
    it is written: bundles have spelled the same name as UTF-8, as escaped bytes and as escaped code points.
    """
    for match in _CERTIFICATE.finditer(text):
        labels = _LABEL_COMMENT.findall(match["heading"]) or _LABEL_UNDERLINED.findall(match["heading"])
        if not labels:
            raise ValueError(f"no label above the certificate that starts with {match['body'][:32]!r}")
        yield labels[-1], base64.b64decode(match["body"])


def _open_wheel(path: Path) -> Archive:
    with zipfile.ZipFile(path) as archive:
        if BUNDLE not in archive.namelist():
            raise ValueError(f"{path.name} holds no {BUNDLE}")
        newest = max(member.date_time for member in archive.infolist())
        return Archive(archive.read(BUNDLE).decode(), datetime(*newest, tzinfo=UTC))


def _open_source(path: Path) -> Archive:
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        bundle = next((member for member in members if member.name.endswith(f"/{BUNDLE}")), None)
        content = archive.extractfile(bundle) if bundle else None
        if content is None:
            raise ValueError(f"{path.name} holds no {BUNDLE}")
        written_at = datetime.fromtimestamp(max(member.mtime for member in members), UTC)
        return Archive(content.read().decode(), written_at)
