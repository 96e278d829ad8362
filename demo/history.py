"""The rows that the two source databases hold after each release of the root store.

Pure: from the root store to rows, and from two states to the changes between them.
"""

import uuid
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Generic, TypeVar

import msgspec

from demo.root_store import Certificate, Release, RootStore

EXPIRING_WITHIN = timedelta(days=3 * 365)
KEPT_AFTER_REMOVAL = timedelta(days=365)

Key = TypeVar("Key", bound=Hashable)
RowType = TypeVar("RowType", bound="Row")
StampedRow = TypeVar("StampedRow", "Account", "TrustedRoot")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a source table; its fields are named as the columns."""


class Account(Row, frozen=True, kw_only=True):
    """An operator: an organisation with roots. `changed_*` name the release that last changed the row."""

    operator_id: uuid.UUID
    organisation: str
    distinguished_name: str
    root_names: list[str]
    certificate_count: int
    active: bool
    key_inventory: dict[str, int]
    mean_key_bits: Decimal | None
    oldest_root_on: date
    newest_expiry: datetime | None
    changed_in: str
    changed_at: datetime


class TrustedRoot(Row, frozen=True, kw_only=True):
    """A root certificate, from the release that first listed it until a year after it was removed.

    `lifecycle` is trusted, expiring (within three years), expired or removed, as of the release `changed_in`.
    """

    fingerprint: str
    operator_id: uuid.UUID
    label: str
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
    extensions: dict[str, Any] | None
    der: bytes
    lifecycle: str
    listed_in: str
    removed_on: date | None
    changed_in: str
    changed_at: datetime


class ExpiryWatch(Row, frozen=True, kw_only=True):
    """A line of the worklist of roots that expire soon; the list is written anew with each release."""

    expires_on: date
    fingerprint: str
    operator_id: uuid.UUID
    label: str
    days_left: int
    seen_in: str


class State(msgspec.Struct, frozen=True):
    """What the tables hold after a release, by key; `expiry_watch` in order of expiry."""

    accounts: dict[uuid.UUID, Account]
    certificates: dict[str, TrustedRoot]
    expiry_watch: tuple[ExpiryWatch, ...]


EMPTY = State({}, {}, ())


class Changes(msgspec.Struct, Generic[Key, RowType], frozen=True):
    """What makes one state of a table into the next; `updated` maps a key to the columns with new values."""

    inserted: list[RowType]
    updated: dict[Key, dict[str, Any]]
    deleted: list[Key]


def states(store: RootStore) -> Iterator[tuple[Release, State]]:
    """The state after each release, in order."""
    state = EMPTY
    for release in store.releases:
        state = after(state, release, store.certificates)
        yield release, state


def after(state: State, release: Release, known: Mapping[str, Certificate]) -> State:
    """The state that a release makes of the one before; `known` has every certificate by fingerprint."""
    certificates = _certificates(state.certificates, release, known)
    accounts = _accounts(state.accounts, certificates.values(), release, known)
    return State(accounts, certificates, tuple(_expiry_watch(certificates.values(), release)))


def changes(before: Mapping[Key, RowType], now: Mapping[Key, RowType]) -> Changes[Key, RowType]:
    """The inserts, updates and deletes between two states of one table."""
    return Changes(
        inserted=[row for key, row in now.items() if key not in before],
        updated={
            key: _new_values(before[key], row) for key, row in now.items() if before.get(key, row) != row
        },
        deleted=[key for key in before if key not in now],
    )


def operator_id(organisation: str) -> uuid.UUID:
    """The id under which both databases know an operator: made of its name, so neither asks the other."""
    return uuid.uuid5(uuid.NAMESPACE_X500, f"O={organisation}")


def _new_values(before: Row, now: Row) -> dict[str, Any]:
    was = msgspec.structs.asdict(before)
    return {name: value for name, value in msgspec.structs.asdict(now).items() if value != was[name]}


def _certificates(
    before: Mapping[str, TrustedRoot], release: Release, known: Mapping[str, Certificate]
) -> dict[str, TrustedRoot]:
    listed = {
        fingerprint: _listed(known[fingerprint], label, release, before.get(fingerprint))
        for fingerprint, label in release.labels.items()
    }
    kept = {
        fingerprint: _removed(row, release)
        for fingerprint, row in before.items()
        if fingerprint not in listed and not _is_over(row, release)
    }
    return _stamped(before, kept | listed, release)


def _listed(
    certificate: Certificate, label: str, release: Release, before: TrustedRoot | None
) -> TrustedRoot:
    own = msgspec.structs.asdict(certificate)
    return TrustedRoot(
        operator_id=operator_id(own.pop("organisation")),
        **own,
        label=label,
        lifecycle=_lifecycle(certificate.not_after, release.released_at),
        listed_in=before.listed_in if before else release.version,
        removed_on=None,
        changed_in=release.version,
        changed_at=release.released_at,
    )


def _removed(row: TrustedRoot, release: Release) -> TrustedRoot:
    removed_on = row.removed_on or release.released_at.date()
    return msgspec.structs.replace(row, lifecycle="removed", removed_on=removed_on)


def _is_over(row: TrustedRoot, release: Release) -> bool:
    return row.removed_on is not None and release.released_at.date() - row.removed_on > KEPT_AFTER_REMOVAL


def _lifecycle(not_after: datetime, at: datetime) -> str:
    if not_after <= at:
        return "expired"
    return "expiring" if not_after - at <= EXPIRING_WITHIN else "trusted"


def _accounts(
    before: Mapping[uuid.UUID, Account],
    certificates: Iterable[TrustedRoot],
    release: Release,
    known: Mapping[str, Certificate],
) -> dict[uuid.UUID, Account]:
    roots: dict[str, list[TrustedRoot]] = {}
    for row in certificates:
        roots.setdefault(known[row.fingerprint].organisation, []).append(row)
    accounts = [_account(organisation, rows, release) for organisation, rows in roots.items()]
    return _stamped(before, {account.operator_id: account for account in accounts}, release)


def _account(organisation: str, roots: list[TrustedRoot], release: Release) -> Account:
    oldest = min(roots, key=lambda root: (root.not_before, root.fingerprint))
    present = [root for root in roots if root.lifecycle != "removed"]
    inventory = Counter(f"{root.key_type} {root.key_bits}" for root in present)
    return Account(
        operator_id=oldest.operator_id,
        organisation=organisation,
        distinguished_name=oldest.issuer,
        root_names=sorted(root.label for root in present),
        certificate_count=len(present),
        active=bool(present),
        key_inventory=dict(sorted(inventory.items())),
        mean_key_bits=_mean([root.key_bits for root in present]),
        oldest_root_on=oldest.not_before.date(),
        newest_expiry=max((root.not_after for root in present), default=None),
        changed_in=release.version,
        changed_at=release.released_at,
    )


def _stamped(
    before: Mapping[Key, StampedRow], now: Mapping[Key, StampedRow], release: Release
) -> dict[Key, StampedRow]:
    """The rows of now; one that is as it was before keeps the mark of the release that last changed it."""
    stamped = {}
    for key, row in now.items():
        old = before.get(key, row)
        as_before = msgspec.structs.replace(row, changed_in=old.changed_in, changed_at=old.changed_at)
        current = msgspec.structs.replace(row, changed_in=release.version, changed_at=release.released_at)
        stamped[key] = old if as_before == old and key in before else current
    return stamped


def _mean(numbers: list[int]) -> Decimal | None:
    if not numbers:
        return None
    return (Decimal(sum(numbers)) / len(numbers)).quantize(Decimal("0.01"), ROUND_HALF_EVEN)


def _expiry_watch(certificates: Iterable[TrustedRoot], release: Release) -> Iterator[ExpiryWatch]:
    for root in sorted(certificates, key=lambda root: (root.not_after, root.fingerprint)):
        if root.lifecycle == "expiring":
            yield ExpiryWatch(
                expires_on=root.not_after.date(),
                fingerprint=root.fingerprint,
                operator_id=root.operator_id,
                label=root.label,
                days_left=(root.not_after - release.released_at).days,
                seen_in=release.version,
            )
