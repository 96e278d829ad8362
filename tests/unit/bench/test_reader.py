"""What a reader makes of the rows that it sees."""

import math

import pytest

from bench.end_to_end.reader import Reader, percentile


def test_a_row_counts_once_for_each_time_it_was_written() -> None:
    reader = Reader()
    reader.note([(1, 10.0), (2, 10.5)], 11.0)
    reader.note([(1, 10.0), (2, 10.5)], 12.0)
    reader.note([(1, 12.5)], 13.0)
    assert reader.latencies == pytest.approx([1.0, 0.5, 0.5])


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([3.0, 1.0, 2.0, 4.0], 50) == 3.0
    assert percentile([3.0, 1.0, 2.0, 4.0], 99) == 4.0
    assert math.isnan(percentile([], 50))
