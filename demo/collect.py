"""Builds the demo's input from releases of certifi. For maintainers: needs a network, pip and cryptography.

export PYTHONPATH=.:lambdas/core
python -m demo.collect                writes demo/data/root_store.jsonl.gz and demo/data/NOTICE.md
python -m demo.collect --check        downloads again and compares; ends with 1 when they differ
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from demo import bundle, root_store, x509
from demo.root_store import Certificate, Release, RootStore

# Spread over the years, and only releases that changed the set of certificates.
VERSIONS = [
    *("0.0.5", "0.0.8", "1.0.1", "2015.4.28", "2015.9.6.2", "2015.11.20.1", "2016.2.28", "2016.8.31"),
    *("2017.1.23", "2017.4.17", "2017.7.27.1", "2017.11.5", "2018.8.24", "2018.11.29", "2019.3.9"),
    *("2020.6.20", "2020.11.8", "2020.12.5", "2021.5.30", "2021.10.8", "2022.5.18.1", "2022.9.24"),
    *("2022.12.7", "2023.7.22", "2023.11.17", "2024.2.2", "2024.8.30", "2024.12.14", "2025.1.31"),
    *("2025.6.15", "2025.8.3", "2026.1.4", "2026.5.20", "2026.10.18"),
]

NOTICE = root_store.PATH.with_name("NOTICE.md")


def main() -> int:
    arguments = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="certifi-") as folder:
        archives = {version: download(version, Path(folder)) for version in VERSIONS}
        store = collect(archives)
    if arguments.check:
        return _compare(store)
    root_store.PATH.write_bytes(root_store.dump(store))
    NOTICE.write_text(notice(store), encoding="utf-8")
    print(f"{len(store.releases)} releases, {len(store.certificates)} certificates, {_size()} bytes")
    return 0


def download(version: str, folder: Path) -> Path:
    """The archive of one release, fetched by pip from the index that pip is set up for."""
    destination = folder / version
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps"]
    subprocess.run([*pip, "--dest", str(destination), f"certifi=={version}"], check=True)
    return next(destination.iterdir())


def collect(archives: dict[str, Path]) -> RootStore:
    """The history that a set of archives, version → path, makes."""
    certificates: dict[str, Certificate] = {}
    releases = []
    for version, path in archives.items():
        archive = bundle.open_archive(path)
        labels = {}
        for label, der in bundle.labelled_certificates(archive.text):
            fingerprint = hashlib.sha256(der).hexdigest()
            if fingerprint not in certificates:
                certificates[fingerprint] = x509.parse(der)
            labels[fingerprint] = label
        releases.append(Release(version, archive.written_at, labels))
        print(f"{version:14} {archive.written_at:%Y-%m-%d} {len(labels):4} certificates", flush=True)
    return RootStore(certificates, tuple(releases))


def notice(store: RootStore) -> str:
    """What the file is derived from, under which licence, and how it is made again."""
    lines = []
    previous: set[str] = set()
    for release in store.releases:
        current = set(release.labels)
        counts = f"{len(current)} | {len(current - previous)} | {len(previous - current)}"
        lines.append(f"| {release.version} | {release.released_at:%Y-%m-%d} | {counts} |")
        previous = current
    template = Path(__file__).with_name("notice.md").read_text(encoding="utf-8")
    return template.format(
        certificates=len(store.certificates), releases=len(store.releases), table="\n".join(lines)
    )


def _compare(store: RootStore) -> int:
    same = root_store.load() == store
    print(
        "the stored input is what certifi published" if same else "the stored input differs: collect it again"
    )
    return 0 if same else 1


def _size() -> int:
    return root_store.PATH.stat().st_size


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo.collect", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the stored input, write nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
