"""A plan as a person reads it."""

import textwrap
from collections.abc import Iterator

import msgspec

from ops.costs.bill import GROUPS, Bill
from ops.plan.difference import Difference
from ops.plan.grants import Role

_WIDTH = 110
_SIGNS = {"add": "+", "change": "~", "remove": "-", "blocked": "!"}


class Plan(msgspec.Struct, frozen=True):
    """What `./pgevents plan` found. `not_compared` says why, by the name in pipeline.toml."""

    environment: str
    differences: list[Difference]
    not_compared: dict[str, str]
    roles: list[Role]
    bill: Bill

    @property
    def is_blocked(self) -> bool:
        """Whether a deployment would fail, or leave rows behind."""
        return any(each.action == "blocked" for each in self.differences)

    @property
    def is_empty(self) -> bool:
        """Whether everything was compared and nothing is to be done."""
        return not self.differences and not self.not_compared


def report(plan: Plan, sources: frozenset[str]) -> Iterator[str]:
    """The lines of it. `sources` tells triggers from tables in Redshift."""
    of_sources = [each for each in plan.differences if each.where.split(".", 1)[0] in sources]
    others = [each for each in plan.differences if each not in of_sources]
    yield "Triggers"
    yield from _differences(of_sources, not sources <= plan.not_compared.keys())
    yield "Redshift"
    yield from _differences(others, plan.not_compared.keys() <= sources)
    if plan.not_compared:
        yield "Not compared"
        for name, why in plan.not_compared.items():
            yield from _wrapped(f"  {name}: ", why)
    yield "Permissions, by role"
    for role in plan.roles:
        yield from _role(role)
    yield from _bill(plan.bill)


def _differences(differences: list[Difference], was_compared: bool) -> Iterator[str]:
    if not differences:
        yield "  nothing to do" if was_compared else "  not compared"
    for each in differences:
        yield from _wrapped(f"  {_SIGNS[each.action]} {each.where}: ", each.what)


def _role(role: Role) -> Iterator[str]:
    has = f" with AWS's {', '.join(role.managed)}" if role.managed else ""
    yield f"  {role.name}, taken by {', '.join(role.taken_by)}{has}"
    for grant in role.grants:
        only = f", only where {grant.condition}" if grant.condition else ""
        yield from _wrapped("      ", f"{grant.may}  on  {', '.join(grant.resources)}{only}")


def _bill(bill: Bill) -> Iterator[str]:
    yield f"Cost, about, a month at {bill.load:g} events/s"
    for group, meaning in GROUPS.items():
        yield f"  {group:<10} {bill.usd[group]:>10,.0f} USD  {meaning}"
        for each in bill.lines:
            if each.group == group and each.usd >= 0.005:
                yield f"             {each.usd:>10,.2f}      {each.item}"
    yield f"  together   {sum(bill.usd.values()):>10,.0f} USD"
    yield f"  {bill.usd_per_million_events:,.2f} USD a million events, of what the pipeline adds"
    for note in bill.notes:
        yield from _wrapped("  ", note)


def _wrapped(start: str, text: str) -> Iterator[str]:
    """A long line continued below its beginning."""
    indent = " " * (len(start) - len(start.lstrip()) + 4)
    yield from textwrap.wrap(
        f"{start}{text}", _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
