"""Dollars per million events, of this pipeline and of two other ways to the same Redshift.

Databases and warehouse are left out of all three: they are there in each, and the choice of one does not
change what they cost.
"""

import msgspec

from ops.costs.prices import SECONDS_A_MONTH, PriceList, hourly, line, total
from ops.costs.traffic import Deployment, traffic

LOADS = (1.0, 100.0, 10_000.0)
"""Events a second that are compared."""
_DMS_CLASSES = ((10.0, "dms.t3.medium"), (2_000.0, "dms.r6i.large"), (float("inf"), "dms.r6i.4xlarge"))
"""Up to how many events a second which replication instance is taken: a guess."""
_ROWS_A_SECOND = 10.0
"""How many single-row commits a second Redshift takes, about."""


class Figure(msgspec.Struct, frozen=True):
    """What a million events cost at a load, in dollars, and what to know about it."""

    load: float
    usd_a_million: float
    note: str = ""


def through_ours(load: float, made: Deployment, prices: PriceList) -> Figure:
    """What passes through alone: Lambdas, S3, logs, traffic."""
    return Figure(load, _a_million(total(traffic(load, made, prices), "pipeline"), load))


def dms(load: float, prices: PriceList) -> Figure:
    """A replication instance in one zone. It transforms little, and needs a replication slot."""
    kind = next(name for most, name in _DMS_CLASSES if load <= most)
    lines = [
        hourly(prices, "pipeline", f"DMS {kind}", 1, kind),
        line(prices, "pipeline", "its disk", prices.use("dms_storage_gb"), "ebs_storage"),
        line(prices, "pipeline", "S3", prices.use("dms_files") * SECONDS_A_MONTH, "s3_put"),
    ]
    return Figure(load, _a_million(total(lines), load), kind)


def lambda_a_row(load: float, made: Deployment, prices: PriceList) -> Figure:
    """A trigger that invokes a Lambda for each row, which writes it into Redshift and the archives by itself.

    For that it needs as long as this pipeline's writer for a batch of one row.
    """
    rows = load * SECONDS_A_MONTH
    seconds = sum(map(prices.use, ("writer_seconds", "writer_event_seconds", "redshift_seconds")))
    time = rows * seconds * prices.use("row_lambda_gb")
    lines = [
        line(prices, "pipeline", "requests", rows, "lambda_request"),
        line(prices, "pipeline", "time", time, "lambda_arm_second"),
        line(prices, "pipeline", "objects written", rows * made.archives, "s3_put"),
    ]
    note = "" if load <= _ROWS_A_SECOND else "not possible: Redshift takes about ten such commits a second"
    return Figure(load, _a_million(total(lines), load), note)


def _a_million(usd: float, load: float) -> float:
    return usd / (load * SECONDS_A_MONTH) * 1e6
