"""What one bench found: as a table for people, a line for programs, or Markdown for the documentation."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from bench.measure.facts import Facts
from bench.measure.rounds import Comparison, Spread
from bench.measure.target import Order, Target, number

Table = list[Sequence[str]]


class Figure(msgspec.Struct, frozen=True):
    """A figure that is compared with nothing."""

    name: str
    value: float
    unit: str


class Report(msgspec.Struct):
    """Everything that a bench has found so far."""

    bench: str
    facts: Facts
    comparisons: list[Comparison] = msgspec.field(default_factory=list)
    targets: list[Target] = msgspec.field(default_factory=list)
    figures: list[Figure] = msgspec.field(default_factory=list)
    skipped: dict[str, str] = msgspec.field(default_factory=dict)

    def compare(self, comparison: Comparison) -> Comparison:
        """Adds a comparison, and gives it back."""
        self.comparisons.append(comparison)
        return comparison

    def target(self, name: str, value: float, order: Order, bound: float, unit: str = "") -> None:
        """Adds a figure that has to be on one side of a bound."""
        self.targets.append(Target(name, value, order, bound, unit))

    def figure(self, name: str, value: float, unit: str = "") -> None:
        """Adds a figure that nothing is demanded of."""
        self.figures.append(Figure(name, value, unit))

    def skip(self, what: str, why: str) -> None:
        """Says what was not measured. It does not count as missed."""
        self.skipped[what] = why

    @property
    def targets_met(self) -> bool:
        """Whether every target that was measured is met."""
        return all(target.met for target in self.targets)

    def json(self) -> str:
        """One line: the facts, every round's measurement, the ratios, each target with `met`."""
        found = msgspec.to_builtins(self)
        for comparison, plain in zip(self.comparisons, found["comparisons"], strict=True):
            plain["variants"] = {name: _variant(comparison, name) for name in comparison.rounds}
            del plain["rounds"]
        for target, plain in zip(self.targets, found["targets"], strict=True):
            plain["met"] = target.met
        return msgspec.json.encode({**found, "targets_met": self.targets_met}).decode()

    def text(self) -> str:
        """Tables for a terminal."""
        return "\n".join(_laid_out(self._parts(), markdown=False)).rstrip("\n")

    def markdown(self) -> str:
        """The same tables for the documentation."""
        return "\n".join(_laid_out(self._parts(), markdown=True)).rstrip("\n")

    def _parts(self) -> Iterator[str | Table]:
        yield "\n".join(self.facts.lines())
        for comparison in self.comparisons:
            yield _compared(comparison)
        if self.figures:
            yield [("figure", "", "unit"), *((f.name, number(f.value), f.unit) for f in self.figures)]
        if self.targets:
            yield [("target", "measured", "wanted", ""), *map(_aimed, self.targets)]
        if self.skipped:
            yield "\n".join(f"skipped: {what} ({why})" for what, why in self.skipped.items())


def _variant(comparison: Comparison, name: str) -> dict[str, Any]:
    spreads = {"value": comparison.value(name), "ratio": comparison.ratio(name)}
    return {"rounds": comparison.rounds[name], **msgspec.to_builtins(spreads)}


def _compared(comparison: Comparison) -> Table:
    head = (f"{comparison.title}, {comparison.unit}", "median", "least to most", "ratio", "its spread")
    return [head, *(_row(comparison, name) for name in comparison.rounds)]


def _row(comparison: Comparison, name: str) -> Sequence[str]:
    value, ratio = comparison.value(name), comparison.ratio(name)
    measured = (name, number(value.median), _span(value))
    if name == comparison.baseline:
        return (*measured, "1", "")
    return (*measured, number(ratio.median), _span(ratio))


def _span(spread: Spread) -> str:
    return f"{number(spread.least)} to {number(spread.most)}"


def _aimed(target: Target) -> Sequence[str]:
    return (target.name, number(target.value), target.wanted, "met" if target.met else "NOT MET")


def _laid_out(parts: Iterator[str | Table], *, markdown: bool) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str):
            yield from (f"{line}  " if markdown else line for line in part.splitlines())
        else:
            yield from _markdown(part) if markdown else _columns(part)
        yield ""


def _markdown(rows: Table) -> Iterator[str]:
    head, *others = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    yield f"| {' | '.join(head)} |"
    yield "|---|" + "--:|" * (len(head) - 1)
    for row in others:
        yield f"| {' | '.join(row)} |"


def _columns(rows: Table) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        first, *others = row
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join((first.ljust(widths[0]), *cells)).rstrip()
