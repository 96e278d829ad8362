"""A batch's rows are not gone through for cycles; what a transform leaves behind is."""

import gc
import weakref

import pytest

from transform.collector import rows_aside, rows_let_go


class Thing:
    def __init__(self) -> None:
        self.itself = self


def test_cycles_made_after_the_rows_are_collected_while_those_are_kept() -> None:
    with rows_aside():
        rows = [(str(number), None) for number in range(1_000)]
    left_behind = weakref.ref(Thing())
    assert gc.get_freeze_count() >= len(rows)
    assert all(each is not rows for each in gc.get_objects())
    gc.collect()
    assert left_behind() is None
    rows_let_go()
    assert gc.get_freeze_count() == 0


def test_what_became_a_cycle_meanwhile_is_collected_once_the_rows_are_let_go() -> None:
    with rows_aside():
        left_behind = weakref.ref(Thing())
    gc.collect()
    assert left_behind() is not None
    rows_let_go()
    gc.collect()
    assert left_behind() is None


@pytest.mark.parametrize("enabled", [True, False])
def test_collector_is_as_it_was_before(enabled: bool) -> None:
    was_enabled = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(KeyError), rows_aside():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()
        rows_let_go()
