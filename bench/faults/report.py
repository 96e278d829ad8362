"""The table of what was attacked and what came of it, made of the results of real runs and nothing else."""

import time
from collections import defaultdict
from pathlib import Path

import msgspec

from bench.faults.kinds import KINDS
from bench.faults.result import Harm, Result
from bench.measure.publishing import within
from local.programs.environment import PROJECT
from pgevents.errors import InputError

RESULTS = PROJECT / "bench" / "faults" / "results.json"
REFERENCE = PROJECT / "docs" / "reference" / "faults.md"
README = PROJECT / "README.md"


class Tally(msgspec.Struct):
    """What the runs of one kind came to. `idle` are runs whose fault did not strike, which prove nothing."""

    group: str
    promises: list[int]
    runs: int = 0
    idle: int = 0
    failed: int = 0
    changes: int = 0
    struck: int = 0
    harm: Harm = msgspec.field(default_factory=Harm)


class Campaign(msgspec.Struct):
    """The results of a campaign: when they were published, on which commits they ran, and by kind."""

    date: str
    commits: list[str]
    kinds: dict[str, Tally]


def publish(results: list[Result], added: bool = False) -> None:
    """Keeps the results, alone or added to those that were kept, and writes the tables from them."""
    campaign = summed(results)
    if added:
        campaign = both(read(), campaign)
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(campaign), indent=1) + b"\n")
    REFERENCE.write_text(reference(campaign))
    README.write_text(within(README.read_text(), "faults", table(campaign)))


def summed(results: list[Result]) -> Campaign:
    """The results by kind. Raises InputError for a kind that there is not."""
    tallies: dict[str, Tally] = {}
    for result in results:
        if result.kind not in KINDS:
            raise InputError(f"there is no kind of fault called {result.kind!r} any more")
        kind = KINDS[result.kind]
        tally = tallies.setdefault(kind.name, Tally(kind.group, list(kind.promises)))
        if result.outcome == "did not strike":
            tally.idle += 1
            continue
        tally.runs += 1
        tally.failed += result.outcome == "harness failed"
        tally.changes += result.changes
        tally.struck += result.struck
        tally.harm += result.harm
    ordered = {name: tallies[name] for name in KINDS if name in tallies}
    commits = list(dict.fromkeys(result.commit for result in results if result.commit))
    return Campaign(time.strftime("%Y-%m-%d", time.gmtime()), commits, ordered)


def both(earlier: Campaign, later: Campaign) -> Campaign:
    """The results of two campaigns. A kind that there is not any more is left out."""
    tallies = {
        name: _joined([each.kinds[name] for each in (earlier, later) if name in each.kinds])
        for name in KINDS
        if name in earlier.kinds or name in later.kinds
    }
    commits = list(dict.fromkeys([*earlier.commits, *later.commits]))
    return Campaign(later.date, commits, tallies)


def _joined(tallies: list[Tally]) -> Tally:
    newest = tallies[-1]
    joined = Tally(newest.group, newest.promises)
    for tally in tallies:
        for name in ("runs", "idle", "failed", "changes", "struck"):
            setattr(joined, name, getattr(joined, name) + getattr(tally, name))
        joined.harm += tally.harm
    return joined


def table(campaign: Campaign) -> str:
    """The groups of faults, one line each, and all of them."""
    groups: dict[str, list[Tally]] = defaultdict(list)
    for tally in campaign.kinds.values():
        groups[tally.group].append(tally)
    lines = [
        "| what strikes | kinds | runs | changes | lost | duplicated | out of order | stuck |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
        *(_row(group, tallies) for group, tallies in groups.items()),
        _row("**all**", list(campaign.kinds.values())),
    ]
    return "\n".join(lines)


def reference(campaign: Campaign) -> str:
    """docs/reference/faults.md."""
    idle = sum(tally.idle for tally in campaign.kinds.values())
    failed = sum(tally.failed for tally in campaign.kinds.values())
    lines = [
        "# What was attacked, and what came of it",
        "",
        "Written by `./pgevents bench faults --publish` from the logs of its runs;",
        "[how to attack it](../how-to/attack-it.md) says what a run is. *Duplicated* counts rows and",
        "versions too many, those that were rolled back or never written among them; *stuck* counts",
        "events that were never applied, and statements that failed because of capture.",
        "",
        f"{campaign.date}, commit {', '.join(campaign.commits) or 'unknown'}.",
        f"Runs whose fault did not strike: {idle}, not counted below. Failures of the harness: {failed}.",
        "",
        table(campaign),
        "",
        "## Every kind",
        "",
        "| kind | promises | runs | struck | changes | lost | duplicated | out of order | stuck |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
        *(_kind_row(name, tally) for name, tally in campaign.kinds.items()),
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, tallies: list[Tally]) -> str:
    runs = sum(tally.runs for tally in tallies)
    changes = sum(tally.changes for tally in tallies)
    return f"| {name} | {len(tallies)} | {runs:,} | {changes:,} | {_harms(tallies)} |"


def _kind_row(name: str, tally: Tally) -> str:
    promises = ", ".join(map(str, tally.promises))
    return (
        f"| {name} | {promises} | {tally.runs} | {tally.struck:,} | {tally.changes:,} | {_harms([tally])} |"
    )


def _harms(tallies: list[Tally]) -> str:
    harms = [tally.harm for tally in tallies]
    figures = (
        sum(harm.lost for harm in harms),
        sum(harm.duplicated + harm.appeared for harm in harms),
        sum(harm.out_of_order for harm in harms),
        sum(harm.stuck + harm.refused for harm in harms),
    )
    return " | ".join(f"{figure:,}" if figure == 0 else f"**{figure:,}**" for figure in figures)


def read(path: Path = RESULTS) -> Campaign:
    """The results that were published last."""
    return msgspec.json.decode(path.read_bytes(), type=Campaign)
