"""The spool keeps a page and its position together, and belongs to one process."""

from pathlib import Path

import pytest

from ops.comparison.place import Seen
from ops.comparison.records import Candidate, Finding, Stage, Wanted
from ops.comparison.spool import Spool
from pgevents.errors import InputError


def seen(key: int, version: int = 1) -> Seen:
    return Seen(bytes([key]), (str(key), None), version, b"d", 0)


def test_a_page_that_was_interrupted_leaves_neither_rows_nor_position(tmp_path: Path) -> None:
    path = tmp_path / "a folder" / "spool.sqlite"
    with Spool(path) as spool:
        with spool.page():
            spool.add_seen(0, [seen(1)])
            spool.reach("place", Stage("1", 1))
        with pytest.raises(KeyboardInterrupt), spool.page():
            spool.add_seen(0, [seen(2)])
            spool.reach("place", Stage("2", 2))
            raise KeyboardInterrupt
    with Spool(path) as spool:
        assert spool.stage("place") == Stage("1", 1)
        assert [row.key for row in spool.seen(0)] == [("1", None)]


def test_rows_come_back_in_order_of_the_hash_the_newest_of_a_key_first(tmp_path: Path) -> None:
    with Spool(tmp_path / "s") as spool:
        spool.add_seen(0, [seen(9), seen(3, 1), seen(3, 7), seen(200)])
        spool.add_seen(1, [seen(5)])
        assert [(row.hash[0], row.version) for row in spool.seen(0)] == [(3, 7), (3, 1), (9, 1), (200, 1)]
        newest = spool.newest(0, bytes([3]))
        assert newest is not None
        assert newest.version == 7
        assert spool.newest(1, bytes([3])) is None


def test_only_keys_that_other_places_know_are_wanted_where_that_is_asked_for(tmp_path: Path) -> None:
    with Spool(tmp_path / "s") as spool:
        spool.add_seen(1, [seen(2), seen(4)])
        spool.add_wanted(0, [Wanted(bytes([key]), b"d", (str(key),), (str(key),)) for key in (1, 2, 3)])
        assert [row.key for row in spool.wanted(0, [1])] == [("2",)]
        assert spool.count_wanted(0, [1]) == 1
        assert spool.count_wanted(0) == 3
        assert [found.key for found in spool.unseen(0, 0, [1])] == [("4", None)]


def test_a_second_process_is_told_that_the_file_is_in_use(tmp_path: Path) -> None:
    with Spool(tmp_path / "s"), pytest.raises(InputError, match="does another"):
        Spool(tmp_path / "s")


def test_a_file_that_is_none_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    with pytest.raises(InputError, match="--restart"):
        Spool(tmp_path / "s")


def test_findings_can_be_settled_while_they_are_paged_through(tmp_path: Path) -> None:
    def finding(key: int) -> Finding:
        return Finding("t", "s", "p", "missing", (str(key),), ("id",), (), None, 0, "difference")

    with Spool(tmp_path / "s") as spool:
        spool.add_findings(map(finding, range(7)))
        for page in spool.pages_of_findings("t", ("difference",), 3):
            for number, _ in page:
                spool.settle(number, "repaired")
        assert spool.counts() == {("s", "p", "repaired"): 7}


def test_candidates_are_taken_once(tmp_path: Path) -> None:
    candidates = [Candidate(bytes([key]), (str(key),), None, 0) for key in range(5)]
    with Spool(tmp_path / "s") as spool:
        spool.add_candidates(2, candidates)
        assert spool.take_candidates(3) == [(2, candidate) for candidate in candidates[:3]]
        assert spool.take_candidates(3) == [(2, candidate) for candidate in candidates[3:]]
        assert spool.take_candidates(3) == []


def test_the_file_goes_when_the_work_is_done(tmp_path: Path) -> None:
    with Spool(tmp_path / "s") as spool:
        spool.note("a", "b")
        spool.remove()
    assert list(tmp_path.iterdir()) == []
