"""A month's bill of an environment: what stands there, and what passes through."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ops.costs.prices import SECONDS_A_MONTH, Line, PriceList, total, unverified
from ops.costs.standing import standing
from ops.costs.traffic import deployment, flow, traffic

GROUPS = {
    "databases": "RDS, which you have in any case",
    "warehouse": "Redshift, which you have in any case",
    "pipeline": "what the pipeline adds",
}


class Bill(msgspec.Struct, frozen=True):
    """US dollars a month at a load in events a second.

    `usd_per_million_events` counts what the pipeline adds, not databases and warehouse. `notes` say where the
    figures are weak.
    """

    load: float
    region: str
    lines: list[Line]
    usd: dict[str, float]
    usd_per_million_events: float
    notes: list[str]


def bill(
    templates: Mapping[str, Mapping[str, Any]], archives: int, load: float, region: str, prices: PriceList
) -> Bill:
    """Of the templates of an environment (by the names of their stacks), for `region`."""
    made = deployment(templates, archives)
    lines = [*standing(templates, prices), *traffic(load, made, prices)]
    usd = {group: round(total(lines, group), 2) for group in GROUPS}
    notes = [
        "the load's share rests on guesses about AWS (ops/costs/prices.toml), storage in Redshift is left out"
    ]
    if region != prices.region:
        notes.append(f"prices are those of {prices.region}; {region} differs by some per cent")
    if weak := unverified(prices, lines):
        notes.append(f"from memory, unverified: {', '.join(weak)}")
    if not flow(load, made, prices).is_possible:
        notes.append("by this model that load is more than one drain a source, or the one writer, can do")
    events = load * SECONDS_A_MONTH / 1e6
    return Bill(load, prices.region, lines, usd, round(usd["pipeline"] / events, 4) if events else 0.0, notes)
