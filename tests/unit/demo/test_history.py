from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from demo import history
from demo.history import EMPTY, State, TrustedRoot
from demo.root_store import Certificate, Release, RootStore

DAY = timedelta(days=1)
START = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def certificate(store: RootStore) -> Certificate:
    """A real root with dates of our own: valid for ten years from the first release."""
    real = next(iter(store.certificates.values()))
    return msgspec.structs.replace(real, not_before=START - DAY, not_after=START + 3650 * DAY)


def release(days: int, *certificates: Certificate, label: str = "Root") -> Release:
    return Release(f"day {days}", START + days * DAY, {each.fingerprint: label for each in certificates})


def replayed(known: Certificate, *releases: Release) -> list[State]:
    states = [EMPTY]
    for each in releases:
        states.append(history.after(states[-1], each, {known.fingerprint: known}))
    return states[1:]


def only_root(state: State) -> TrustedRoot:
    (root,) = state.certificates.values()
    return root


def test_unchanged_release_changes_no_row(certificate: Certificate) -> None:
    first, second = replayed(certificate, release(0, certificate), release(30, certificate))
    assert second == first
    assert only_root(second).changed_in == "day 0"


def test_new_label_updates_the_root_and_its_operator(certificate: Certificate) -> None:
    first, second = replayed(certificate, release(0, certificate), release(30, certificate, label="Radix"))
    root_changes = history.changes(first.certificates, second.certificates)
    assert root_changes.updated == {
        certificate.fingerprint: {"label": "Radix", "changed_in": "day 30", "changed_at": START + 30 * DAY}
    }
    (account_columns,) = history.changes(first.accounts, second.accounts).updated.values()
    assert account_columns["root_names"] == ["Radix"]


def test_removed_root_is_marked_kept_for_a_year_and_then_deleted(certificate: Certificate) -> None:
    _, removed, kept, over = replayed(
        certificate, release(0, certificate), release(30), release(30 + 365), release(30 + 366)
    )
    assert (only_root(removed).lifecycle, only_root(removed).removed_on) == (
        "removed",
        (START + 30 * DAY).date(),
    )
    assert kept == removed
    assert over == EMPTY
    assert history.changes(kept.accounts, over.accounts).deleted == list(kept.accounts)


def test_operator_without_roots_is_inactive_and_has_no_figures(certificate: Certificate) -> None:
    _, removed = replayed(certificate, release(0, certificate), release(30))
    (account,) = removed.accounts.values()
    assert (account.active, account.certificate_count, account.root_names) == (False, 0, [])
    assert (account.mean_key_bits, account.newest_expiry, account.key_inventory) == (None, None, {})


def test_root_that_is_listed_again_keeps_its_first_release(certificate: Certificate) -> None:
    states = replayed(certificate, release(0, certificate), release(30), release(60, certificate))
    again = only_root(states[-1])
    assert (again.lifecycle, again.removed_on, again.listed_in, again.changed_in) == (
        "trusted",
        None,
        "day 0",
        "day 60",
    )


def test_lifecycle_and_worklist_follow_the_release_date(certificate: Certificate) -> None:
    days = {"trusted": 3650 - 1096, "expiring": 3650 - 1095, "expired": 3650}
    states = replayed(certificate, *(release(day, certificate) for day in days.values()))
    assert [only_root(state).lifecycle for state in states] == list(days)
    assert [[line.days_left for line in state.expiry_watch] for state in states] == [[], [1095], []]


def test_changes_of_every_release_make_its_state_of_the_one_before(store: RootStore) -> None:
    before = EMPTY
    for _, now in history.states(store):
        for table, key in (("accounts", "operator_id"), ("certificates", "fingerprint")):
            assert applied(getattr(before, table), getattr(now, table), key) == getattr(now, table)
        before = now


def applied(before: dict[Any, Any], now: dict[Any, Any], key_column: str) -> dict[Any, Any]:
    changes = history.changes(before, now)
    rows = {key: row for key, row in before.items() if key not in changes.deleted}
    for key, columns in changes.updated.items():
        assert columns
        rows[key] = msgspec.structs.replace(rows[key], **columns)
    return rows | {getattr(row, key_column): row for row in changes.inserted}
