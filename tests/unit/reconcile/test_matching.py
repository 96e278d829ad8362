"""Which keys differ is told from two sorted streams of hashes."""

import random

from ops.comparison.matching import unmatched
from ops.comparison.place import EVERY_KEY, Seen
from ops.comparison.records import Candidate, Wanted


def wanted(key: int, value: str = "v") -> Wanted:
    return Wanted(key.to_bytes(4, "big"), value.encode(), (str(key),), (f"s{key}",))


def seen(key: int, value: str | None = "v", version: int = 5) -> Seen:
    return Seen(key.to_bytes(4, "big"), (str(key),), version, None if value is None else value.encode())


def differing(must: list[Wanted], found: list[Seen], is_log: bool = False) -> set[str]:
    candidates = unmatched(
        sorted(must), sorted(found, key=lambda row: (row.hash, -row.version)), is_log=is_log
    )
    return {str(candidate.key[0]) for candidate in candidates}


def test_equal_rows_are_no_candidates() -> None:
    assert differing([wanted(1), wanted(2)], [seen(2), seen(1)]) == set()
    assert differing([], []) == set()


def test_a_missing_a_stray_and_a_different_row_are_candidates_with_what_is_known_of_them() -> None:
    found = list(unmatched([wanted(1), wanted(2, "other")], [seen(2), seen(3)], is_log=False))
    assert found == [
        Candidate(wanted(1).hash, ("1",), ("s1",), 0),
        Candidate(wanted(2).hash, ("2",), ("s2",), 5),
        Candidate(wanted(3).hash, ("3",), None, 5),
    ]


def test_a_second_row_of_a_key_is_a_candidate_except_in_a_log() -> None:
    rows = [seen(1, version=4), seen(1, version=5)]
    assert differing([wanted(1)], rows) == {"1"}
    assert differing([wanted(1)], rows, is_log=True) == set()


def test_the_newest_line_of_a_log_counts() -> None:
    lines = [
        seen(1, "old", 4),
        seen(1, "v", 5),
        seen(2, "v", 4),
        seen(2, None, 5),
        seen(3, None, 4),
        seen(3, "v", 5),
    ]
    assert differing([wanted(1), wanted(3)], lines, is_log=True) == set()
    assert differing([wanted(2)], lines, is_log=True) == {"1", "2", "3"}


def test_a_deleted_row_is_as_good_as_none() -> None:
    assert differing([], [seen(1, None)]) == set()
    assert differing([wanted(1)], [seen(1, None)]) == {"1"}


def test_what_is_older_than_a_truncation_is_gone() -> None:
    truncation = Seen(EVERY_KEY, (), 7, None)
    assert differing([], [truncation, seen(1, version=6)], is_log=True) == set()
    assert differing([wanted(2)], [truncation, seen(1, version=6), seen(2, version=8)], is_log=True) == set()


def test_a_row_from_before_the_pipelines_time_counts() -> None:
    assert differing([], [seen(1, version=0)]) == {"1"}
    assert differing([wanted(1)], [seen(1, version=0)]) == set()


def test_any_damage_to_a_thousand_rows_is_found_and_nothing_else() -> None:
    chosen = random.Random(5)
    keys = chosen.sample(range(10**9), 1000)
    must = [wanted(key) for key in keys[:900]]
    missing, changed, stray = set(keys[:30]), set(keys[30:70]), set(keys[900:])
    found = [seen(key, "x" if key in changed else "v") for key in keys if key not in missing]
    assert differing(must, found) == {str(key) for key in missing | changed | stray}
