"""The change event and its version."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgevents import ChangeEvent, EventType, Record, Version

EPOCHS = st.integers(1, 32_767)
SEQS = st.integers(0, 2**48 - 1)
VERSIONS = st.builds(Version, EPOCHS, SEQS)


@given(VERSIONS)
def test_version_goes_into_one_bigint_and_back(version: Version) -> None:
    assert 0 < version.number < 2**63
    assert Version.from_number(version.number) == version


@given(VERSIONS, VERSIONS)
def test_numbers_of_versions_sort_as_the_versions_do(one: Version, other: Version) -> None:
    assert (one.number < other.number) == (one < other)


@given(EPOCHS, SEQS)
def test_first_change_after_a_restore_is_newer_than_the_last_before_it(epoch: int, seq: int) -> None:
    assert Version(epoch, seq).number < Version(epoch + 1, 0).number


def test_event_types_are_their_names() -> None:
    assert [str(event_type) for event_type in EventType] == [
        "INSERT",
        "UPDATE",
        "DELETE",
        "TRUNCATE",
        "SNAPSHOT",
    ]


def test_event_cannot_be_changed_by_a_transform() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    event = ChangeEvent(EventType.INSERT, {"id": 1}, "a.b.c", {"id": 1}, None, Version(1, 1), 1, now)
    with pytest.raises(AttributeError, match="immutable"):
        event.source = "x"  # type: ignore[misc]


def test_record_without_target_or_clause_leaves_both_to_the_route_and_the_event() -> None:
    assert msgspec.structs.asdict(Record({"id": 1})) == {"values": {"id": 1}, "target": None, "clause": None}
