"""What the Lambdas' logs tell of their durations."""

from pathlib import Path

import msgspec
import pytest

from bench.cost.durations import durations
from ops.costs.prices import load_prices
from pgevents.errors import InputError


def line(message: str, **fields: object) -> str:
    return msgspec.json.encode({"message": message, **fields}).decode()


def report(milliseconds: float) -> str:
    return f"REPORT RequestId: 1\tDuration: {milliseconds:.2f} ms\tBilled Duration: 9 ms\tMemory Size: 512 MB"


def logs(folder: Path, transform: list[str], writer: list[str]) -> Path:
    (folder / "lambda").mkdir()
    (folder / "lambda" / "pgevents-transform.log").write_text("\n".join(transform))
    (folder / "lambda" / "pgevents-redshift-writer.log").write_text("\n".join(writer))
    return folder


def test_a_batch_and_each_event_of_it_are_told_apart(tmp_path: Path) -> None:
    """The drain needs 10 ms and 0.1 ms an event, the writer 20 ms and 0.05 ms."""
    transform = [line("batch drained", events=each, milliseconds=10 + each / 10) for each in (1, 50, 400)]
    transform += [report(4000), report(7), report(8), report(9), report(8)]
    writer = [line("applied", changes={"a": each, "b": 1}, milliseconds=20.05 + each / 20) for each in (1, 9)]
    found = durations(logs(tmp_path, transform, writer))
    assert found.drain == pytest.approx(0.010)
    assert found.drain_event == pytest.approx(0.0001)
    assert found.acknowledge == pytest.approx(0.008)
    assert found.writer == pytest.approx(0.020)
    assert found.writer_event == pytest.approx(0.00005)


def test_what_was_measured_takes_the_place_of_what_was_guessed(tmp_path: Path) -> None:
    transform = [line("batch drained", events=each, milliseconds=each) for each in (1, 2)] + [report(5)]
    writer = [line("applied", changes={"a": each}, milliseconds=each) for each in (1, 2)]
    prices = durations(logs(tmp_path, transform, writer)).within(load_prices())
    assert prices.use("drain_event_seconds") == pytest.approx(0.001)
    assert prices.usage["drain_seconds"].origin.startswith("measured here")
    assert prices.use("redshift_seconds") == load_prices().use("redshift_seconds")


def test_batches_of_one_size_alone_say_too_little(tmp_path: Path) -> None:
    transform = [line("batch drained", events=5, milliseconds=7)] * 3 + [report(5)]
    with pytest.raises(InputError, match="3 batches of 1 sizes"):
        durations(logs(tmp_path, transform, []))
