"""The pages of the documentation that benches write themselves, between marks, from real runs only."""

import re
from pathlib import Path

from bench.measure import plot
from bench.measure.report import Report
from local.programs.environment import PROJECT
from pgevents.errors import InputError

REFERENCE = PROJECT / "docs" / "reference" / "performance.md"


def publish(report: Report, page: Path = REFERENCE) -> None:
    """Writes the report between its marks on the page, and its plots beside it, into `plots/`.

    Raises InputError when the page has no place for it: no `<!-- bench NAME: begin -->` with its end.
    """
    text = page.read_text(encoding="utf-8")
    if not has_place(text, report.bench):
        raise InputError(
            f"{page} has no <!-- bench {report.bench}: begin --> with its end: add a section first"
        )
    plots = page.parent / "plots"
    plots.mkdir(exist_ok=True)
    shown = []
    for comparison in report.comparisons:
        file = plots / f"{_name(report.bench)}-{_name(comparison.title)}.svg"
        file.write_text(plot.bars(comparison), encoding="utf-8")
        shown.append(f"![{comparison.title}](plots/{file.name})")
    new = "\n\n".join((report.markdown(), *shown))
    page.write_text(within(text, report.bench, new), encoding="utf-8")


def has_place(text: str, bench: str) -> bool:
    """Whether a text has the two marks of a bench."""
    begin, end = _marks(bench)
    return begin in text and end in text.partition(begin)[2]


def within(text: str, bench: str, new: str) -> str:
    """A text with what stands between a bench's two marks replaced; without marks as it was."""
    begin, end = _marks(bench)
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    return f"{before}{begin}\n{new}\n{end}{after}" if found_begin and found_end else text


def _marks(bench: str) -> tuple[str, str]:
    return f"<!-- bench {bench}: begin -->", f"<!-- bench {bench}: end -->"


def _name(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
