"""The benches of the writer and of cold starts in a tiny form: they run, and say what they are to say."""

import argparse

import pytest

from bench.cold_start import importing
from bench.measure import Report
from bench.write import writing

TINY = argparse.Namespace(quick=True, rounds=1, json=True, publish=False)


def targets(report: Report) -> dict[str, bool]:
    return {target.name: target.met for target in report.targets}


def test_batches_are_written_by_every_way_within_trips_and_memory(capsys: pytest.CaptureFixture[str]) -> None:
    report = writing.measured(TINY)
    [compared] = report.comparisons
    assert set(compared.rounds) == {
        "plain literals",
        "one statement a row",
        "executemany",
        writing.LITERALS,
        writing.WRITER,
    }
    assert all(rate > 0 for rates in compared.rounds.values() for rate in rates)
    assert targets(report) == {"round trips a batch": True, "memory at 5,000 events": True}
    assert {figure.name for figure in report.figures} >= {"processor time a batch, PostgreSQL"}
    assert capsys.readouterr().out == ""


def test_handlers_are_imported_from_small_packages(capsys: pytest.CaptureFixture[str]) -> None:
    report = importing.measured(TINY)
    [compared] = report.comparisons
    assert compared.ratio("transform", "transform with boto3").median < 1
    met = targets(report)
    assert met["package of transform, unpacked"]
    assert met["package of redshift_writer, unpacked"]
    assert capsys.readouterr().out == ""
