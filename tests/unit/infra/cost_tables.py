"""The documentation's tables about money, as the price list and the templates have them: what a test holds
docs/reference/costs.md and docs/how-to/deploy.md to, and what is pasted there when it fails.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ops.costs.bill import bill
from ops.costs.peers import LOADS, Figure, dms, lambda_a_row
from ops.costs.prices import PriceList
from ops.costs.traffic import deployment, flow

Stacks = Mapping[str, Mapping[str, Any]]
_ZONES = 3


def choices(prices: PriceList) -> str:
    """What the choices of an environment cost a month."""
    month, usd = prices.per_month, prices.usd
    endpoint = month("interface_endpoint")
    proxy = month("rds_proxy")
    bastion = month("ec2.t4g.nano") + 8 * usd("ebs_storage")
    hour = 8 * usd("redshift_serverless")
    return _table(
        ("choice", "about, a month"),
        [
            (
                '`reach="endpoints"`: Lambda, Secrets Manager (and two for a session bastion), three zones',
                f"{endpoint:.0f} USD an endpoint and zone: {2 * _ZONES * endpoint:.0f} "
                f"({4 * _ZONES * endpoint:.0f}), and {usd('interface_endpoint_traffic')} USD a GB",
            ),
            (
                '`reach="nat"`: one NAT gateway',
                f"{month('nat_gateway') + month('public_ipv4'):.0f} USD and {usd('nat_gateway_traffic')} "
                "USD a GB; "
                "one zone's failure takes it along",
            ),
            (
                "an RDS Proxy",
                f"{usd('rds_proxy')} USD an hour and virtual CPU of its instance: {2 * proxy:.0f} for two",
            ),
            (
                "Redshift Serverless",
                f"nothing while idle; 8 units cost {hour:.0f} USD an hour of work, and a change a second "
                f"is work all month: {hour * prices.hours_a_month:,.0f}",
            ),
            ("the bastion, `t4g.nano`", f"{bastion:.0f} USD"),
        ],
    )


def environments_table(environments: Mapping[str, Stacks], archives: int, prices: PriceList) -> str:
    """A month of each environment at each of LOADS."""
    rows = []
    for name, stacks in environments.items():
        for load in LOADS:
            found = bill(stacks, archives, load, prices.region, prices)
            usd = found.usd
            rows.append(
                (
                    name,
                    f"{load:,.0f}",
                    *(f"{usd[group]:,.0f}" for group in ("databases", "warehouse", "pipeline")),
                    f"{found.usd_per_million_events:,.2f}",
                )
            )
    heads = ("environment", "events/s", "databases", "warehouse", "pipeline", "pipeline, a million events")
    return _table(heads, rows)


def comparison(stacks: Stacks, archives: int, prices: PriceList) -> str:
    """Dollars a million events, of this pipeline (in an environment's stacks) and of two other ways."""
    made = deployment(stacks, archives)
    ways = {
        "this pipeline": [_ours(load, stacks, archives, prices) for load in LOADS],
        "DMS": [dms(load, prices) for load in LOADS],
        "a Lambda a row": [lambda_a_row(load, made, prices) for load in LOADS],
    }
    rows = [
        (name, *(f"{each.usd_a_million:,.2f}{f' ({each.note})' if each.note else ''}" for each in figures))
        for name, figures in ways.items()
    ]
    return _table(("way", *(f"{load:,.0f} events/s" for load in LOADS)), rows)


def _ours(load: float, stacks: Stacks, archives: int, prices: PriceList) -> Figure:
    """With all that stands there all month: proxies, endpoints, bastion, alarms."""
    possible = flow(load, deployment(stacks, archives), prices).is_possible
    note = "" if possible else "more than one drain a source, or the writer, can do by this model"
    found = bill(stacks, archives, load, prices.region, prices)
    return Figure(load, found.usd_per_million_events, note)


def price_table(prices: PriceList) -> str:
    """Every price with its day and its source."""
    rows = [
        (
            f"`{name}`",
            f"{price.usd:.10f}".rstrip("0").rstrip("."),
            price.unit,
            price.as_of,
            _source(price.source),
        )
        for name, price in prices.prices.items()
    ]
    return _table(("price", "USD", "for one", "as of", "source"), rows)


def _source(source: str) -> str:
    return f"[{source.split('/')[2]}]({source})" if source.startswith("https://") else source


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join(_rows([heads, ("---",) * len(heads), *rows]))


def _rows(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    for row in rows:
        yield f"|{'|'.join(row)}|" if row[0] == "---" else f"| {' | '.join(row)} |"
