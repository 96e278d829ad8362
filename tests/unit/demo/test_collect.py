import base64
import io
import tarfile
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from demo import bundle, collect
from demo import x509 as root_certificates
from demo.root_store import RootStore

STAMP = datetime(2015, 4, 28, 18, 40, 40, tzinfo=UTC)


def pem(der: bytes) -> str:
    body = base64.encodebytes(der).decode().strip()
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


def commented(label: str, der: bytes) -> str:
    return f'\n# Issuer: CN=Somebody\n# Label: "{label}"\n# Serial: 421\n{pem(der)}'


def underlined(label: str, der: bytes) -> str:
    return f"\n{label}\n{'=' * len(label)}\n{pem(der)}"


def wheel(path: Path, text: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("certifi/old.py", (2014, 1, 1, 0, 0, 0)), "")
        archive.writestr(zipfile.ZipInfo(bundle.BUNDLE, STAMP.timetuple()[:6]), text)
    return path


def source_archive(path: Path, text: str) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(f"certifi-0.0.5/{bundle.BUNDLE}")
        member.size, member.mtime = len(text.encode()), int(STAMP.timestamp())
        archive.addfile(member, io.BytesIO(text.encode()))
    return path


def test_every_stored_certificate_is_what_its_own_bytes_say(store: RootStore) -> None:
    for fingerprint, certificate in store.certificates.items():
        assert root_certificates.parse(certificate.der) == certificate
        assert certificate.fingerprint == fingerprint


def test_labels_are_read_from_comments_and_from_underlined_headings() -> None:
    text = "# A preface\n" + commented(r"AC Ra\xC3\xADz", b"first") + underlined("Főtanúsítvány", b"second")
    assert list(bundle.labelled_certificates(text)) == [
        (r"AC Ra\xC3\xADz", b"first"),
        ("Főtanúsítvány", b"second"),
    ]


def test_label_keeps_quotes_and_spaces_as_the_bundle_has_them() -> None:
    text = commented(' OISTE "Server" Root ', b"first")
    assert [label for label, _ in bundle.labelled_certificates(text)] == [' OISTE "Server" Root ']


def test_label_nearest_to_the_certificate_counts() -> None:
    text = f"A preface\n=========\n{underlined('Root', b'first')}"
    assert list(bundle.labelled_certificates(text)) == [("Root", b"first")]


def test_certificate_without_a_label_is_refused() -> None:
    with pytest.raises(ValueError, match="no label above the certificate"):
        list(bundle.labelled_certificates("# nothing\n" + pem(b"first")))


def test_wheel_and_source_archive_give_the_same_history(store: RootStore, tmp_path: Path) -> None:
    first, second = list(store.certificates.values())[:2]
    text = commented("First", first.der) + commented("Second", second.der)
    stores = [
        collect.collect({"1.0": wheel(tmp_path / "a.whl", text)}),
        collect.collect({"1.0": source_archive(tmp_path / "a.tar.gz", text)}),
    ]
    assert stores[0] == stores[1]
    assert stores[0].certificates == {first.fingerprint: first, second.fingerprint: second}
    assert stores[0].releases[0].released_at == STAMP
    assert stores[0].releases[0].labels == {first.fingerprint: "First", second.fingerprint: "Second"}


def test_archive_without_a_bundle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.whl"
    with zipfile.ZipFile(path, "w"):
        pass
    with pytest.raises(ValueError, match="holds no certifi/cacert.pem"):
        bundle.open_archive(path)


def test_unknown_algorithm_is_refused_and_not_guessed() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Somebody")])
    certificate = x509.CertificateBuilder(
        name, name, key.public_key(), 1, STAMP, STAMP + timedelta(days=1)
    ).sign(key, None)
    with pytest.raises(ValueError, match=r"unknown public key type|unknown signature algorithm"):
        root_certificates.parse(certificate.public_bytes(Encoding.DER))


def test_notice_is_the_one_that_the_stored_input_gives(store: RootStore) -> None:
    assert collect.NOTICE.read_text(encoding="utf-8") == collect.notice(store)


def test_collected_versions_are_those_that_are_stored(store: RootStore) -> None:
    assert [release.version for release in store.releases] == collect.VERSIONS
