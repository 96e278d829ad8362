from pathlib import Path

import msgspec
import pytest

from demo import root_store
from demo.root_store import RootStore
from pgevents.errors import InputError

MOST_BYTES = 500_000


def test_stored_input_is_about_thirty_releases_over_fifteen_years_in_half_a_megabyte(
    store: RootStore,
) -> None:
    assert root_store.PATH.stat().st_size < MOST_BYTES
    assert 30 <= len(store.releases) <= 40
    assert len(store.certificates) > 300
    years = {release.released_at.year for release in store.releases}
    assert min(years) == 2011
    assert len(years) >= 13


def test_releases_are_in_order_of_date_and_name_known_certificates(store: RootStore) -> None:
    dates = [release.released_at for release in store.releases]
    assert dates == sorted(set(dates))
    assert all(release.labels.keys() <= store.certificates.keys() for release in store.releases)


def test_every_release_changes_which_certificates_are_listed(store: RootStore) -> None:
    listed = [release.labels.keys() for release in store.releases]
    assert all(now != before for before, now in zip(listed, listed[1:], strict=False))


def test_dump_gives_equal_bytes_whatever_the_order_and_load_gives_it_back(
    store: RootStore, tmp_path: Path
) -> None:
    reversed_store = RootStore(dict(reversed(store.certificates.items())), tuple(reversed(store.releases)))
    dumped = root_store.dump(store)
    assert dumped[4:8] == bytes(4), "the gzip header must not hold the time of day"
    assert root_store.dump(reversed_store) == dumped
    (tmp_path / "again.gz").write_bytes(dumped)
    assert root_store.load(tmp_path / "again.gz") == store


@pytest.mark.parametrize("content", [None, b"", b"not gzip", root_store.PATH.read_bytes()[:1000]])
def test_missing_or_damaged_input_is_refused_in_one_line(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "store.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"store\.gz: not readable") as caught:
        root_store.load(path)
    assert "\n" not in str(caught.value)


def test_unknown_fields_of_a_certificate_do_not_pass_for_known_ones(store: RootStore) -> None:
    certificate = msgspec.to_builtins(next(iter(store.certificates.values())))
    del certificate["der"]
    with pytest.raises(msgspec.ValidationError, match="der"):
        msgspec.convert(certificate, root_store.Certificate)
