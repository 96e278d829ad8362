"""What the demo prints: progress while it replays, and a short table at the end."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from demo.outcome import Outcome, arrived
from demo.replay import EventCounts, Step
from demo.root_store import RootStore
from ops.comparison.difference import Compared

EVENT_TYPES = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")
NOTHING = Text("·", style="dim")
PLAIN_LINE_EVERY = 5
"""Releases between two lines of progress where there is no terminal."""
PROBLEMS_SHOWN = 5
INDENT = "  "


def headline(console: Console, store: RootStore) -> None:
    """Says what is about to be replayed."""
    years = f"{store.releases[0].released_at:%Y} to {store.releases[-1].released_at:%Y}"
    counts = f"{len(store.certificates)} certificates in {len(store.releases)} releases"
    console.print(f"{INDENT}[bold]The history of the Mozilla root store[/], {years}", highlight=False)
    console.print(f"{INDENT}{counts}\n", highlight=False)


def follow(console: Console, steps: Iterable[Step]) -> None:
    """Shows the steps as they come: a bar on a terminal, a line every few releases elsewhere."""
    if console.is_terminal:
        _follow_with_bar(console, steps)
        return
    for step in steps:
        if step.number % PLAIN_LINE_EVERY == 0 or step.number == step.total:
            console.print(f"{INDENT}{_position(step)}", highlight=False)


def print_outcome(console: Console, outcome: Outcome) -> None:
    """The tables, the latency and the verdict; the last line ends with the number of differences."""
    console.print()
    console.print(_events_table(outcome.committed))
    console.print()
    console.print(_arrivals_table(outcome.compared))
    console.print()
    for name, text in _facts(outcome):
        console.print(f"{INDENT}{name:<20}{text}", highlight=False, soft_wrap=True)
    _print_verdict(console, outcome)


def _follow_with_bar(console: Console, steps: Iterable[Step]) -> None:
    columns = (TextColumn(f"{INDENT}replaying {{task.description:<13}}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        for step in steps:
            progress.update(task, description=step.version, total=step.total, completed=step.number)


def _position(step: Step) -> str:
    return f"replayed {step.number:>2} of {step.total}: {step.version} of {step.released_at:%Y-%m-%d}"


def _events_table(committed: EventCounts) -> Table:
    table = _table("committed", *EVENT_TYPES)
    for source_table in sorted({name for name, _ in committed}):
        counts = (committed[source_table, kind] or None for kind in EVENT_TYPES)
        table.add_row(INDENT + source_table, *map(_number, counts))
    return table


def _arrivals_table(compared: Sequence[Compared]) -> Table:
    sinks = list(dict.fromkeys(each.sink for each in compared))
    rows = {(each.target, each.sink): arrived(each) for each in compared}
    table = _table("arrived", *sinks)
    for target in dict.fromkeys(each.target for each in compared):
        table.add_row(INDENT + target, *(_number(rows.get((target, sink))) for sink in sinks))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    table.add_column(INDENT + title, min_width=36, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", min_width=8, no_wrap=True)
    return table


def _number(count: int | None) -> Text:
    return NOTHING if count is None else Text(f"{count:,}")


def _facts(outcome: Outcome) -> Iterator[tuple[str, str]]:
    rolled_back = f"{outcome.rolled_back.total():,} changes in transactions and savepoints"
    yield "rolled back", rolled_back if outcome.miscounts() else f"{rolled_back}, none arrived"
    p50, p99, cold = outcome.latency(0.5), outcome.latency(0.99), outcome.cold_start()
    if p50 is not None and p99 is not None:
        yield "commit to applied", f"p50 {p50:.2f} s, p99 {p99:.2f} s"
    if cold is not None:
        yield "cold start", f"{cold:.2f} s for the first release, while the Lambdas started"
    yield "took", f"{outcome.seconds:.1f} s"


def _print_verdict(console: Console, outcome: Outcome) -> None:
    problems = outcome.problems()
    rows = sum(each.rows for each in outcome.compared)
    sinks = ", ".join(dict.fromkeys(each.sink for each in outcome.compared))
    style = "bold red" if problems else "bold green"
    verdict = f"{len(problems):,} difference{'' if len(problems) == 1 else 's'}"
    comparison = f"{INDENT}{'compared':<20}{rows:,} rows in {sinks}: [{style}]{verdict}[/]"
    console.print(comparison, highlight=False, soft_wrap=True)
    for problem in problems[:PROBLEMS_SHOWN]:
        console.print(Text(f"{INDENT}{INDENT}{problem}"), soft_wrap=True)
    if len(problems) > PROBLEMS_SHOWN:
        console.print(f"{INDENT}{INDENT}and {len(problems) - PROBLEMS_SHOWN:,} more", highlight=False)
