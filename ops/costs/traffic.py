"""What passes through the pipeline costs: by a load in events a second, even over the month and the sources.

A drain is awake for a moment for a batch and a little for each event; while it is, further events cost no
further invocation, so batches grow with the load. Redshift takes one transaction at a time: the writer bounds
how many batches there are. Beyond what one drain a source, or the writer, can do in a second, the model stops
being true and says so.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ops.costs.prices import GB, SECONDS_A_MONTH, Line, PriceList, line

_MEGABYTES_A_GB = 1024
_LARGEST_EVENT_BYTES = 1_000_000
"""A batch beyond this is handed on through S3."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What of a deployment its traffic's costs depend on.

    Memory is in MB; `rpu` is 0 without a serverless warehouse, `archives` counts S3 sinks, `through` is where
    calls to AWS go: endpoints, nat or neither.
    """

    sources: int
    transform_memory: int
    writer_memory: int
    sweeps_a_minute: float
    archives: int
    rpu: float
    through: str


class Flow(msgspec.Struct, frozen=True):
    """A second of the pipeline: batches, and which share of it each function is busy (1 is all the time).

    `writers` are how many are under way on average, those included that wait for the one before.
    """

    batches: float
    drain_busy: float
    writer_busy: float
    writers: float

    @property
    def is_possible(self) -> bool:
        """Whether a drain a source and one writer can do this."""
        return self.drain_busy <= 1 and self.writer_busy <= 1


def deployment(templates: Mapping[str, Mapping[str, Any]], archives: int) -> Deployment:
    """What a set of templates (by the names of their stacks) and its pipeline.toml's S3 sinks come to."""
    found = [each for template in templates.values() for each in template.get("Resources", {}).values()]
    memory = {
        each["Properties"]["Handler"]: each["Properties"].get("MemorySize", 128)
        for each in _of(found, "AWS::Lambda::Function")
    }
    rules = [each["Properties"]["ScheduleExpression"] for each in _of(found, "AWS::Events::Rule")]
    endpoints = [each["Properties"].get("VpcEndpointType") for each in _of(found, "AWS::EC2::VPCEndpoint")]
    through = "nat" if _of(found, "AWS::EC2::NatGateway") else "endpoints" if "Interface" in endpoints else ""
    workgroups = _of(found, "AWS::RedshiftServerless::Workgroup")
    return Deployment(
        sources=len(rules),
        transform_memory=memory.get("transform.handler.handle", 1024),
        writer_memory=memory.get("redshift_writer.handler.handle", 1024),
        sweeps_a_minute=sum(1 / _minutes(rule) for rule in rules),
        archives=archives,
        rpu=sum(each["Properties"]["BaseCapacity"] for each in workgroups),
        through=through,
    )


def _of(resources: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each for each in resources if each["Type"] == kind]


def _minutes(schedule: str) -> float:
    return float(schedule.removeprefix("rate(").split(" ")[0])


def flow(load: float, made: Deployment, prices: PriceList) -> Flow:
    """How a load of so many events a second goes through."""
    use = prices.use
    each_source = load / max(made.sources, 1)
    rounds = each_source / (1 + each_source * use("drain_seconds"))
    drains = _bounded(
        rounds, each_source, use("drain_seconds"), use("drain_event_seconds"), use("batch_events")
    )
    batches = _bounded(
        drains * made.sources,
        load,
        use("writer_seconds") + use("redshift_seconds"),
        use("writer_event_seconds"),
        use("batch_events"),
    )
    a_source = batches / max(made.sources, 1)
    drain_busy = a_source * use("drain_seconds") + each_source * use("drain_event_seconds")
    writer_busy = batches * (use("writer_seconds") + use("redshift_seconds")) + load * use(
        "writer_event_seconds"
    )
    return Flow(batches, drain_busy, writer_busy, writer_busy + _waiting(writer_busy, use("writer_queue")))


def _waiting(busy: float, longest: float) -> float:
    """How many wait for one that takes equally long for each, when they come at random (M/D/1).

    But drains gather events rather than let more than `longest` batches be under way.
    """
    most = (longest - 1) * busy
    return most if busy >= 1 else min(busy**2 / (2 * (1 - busy)), most)


def _bounded(wanted: float, load: float, seconds: float, event_seconds: float, largest: float) -> float:
    """Batches a second: no more than there is time for beside the events, no fewer than their largest size
    allows."""
    return max(min(wanted, (1 - load * event_seconds) / seconds), load / largest)


def traffic(load: float, made: Deployment, prices: PriceList) -> list[Line]:
    """Every line of what a load of so many events a second costs a month."""
    through = flow(load, made, prices)
    month = SECONDS_A_MONTH
    sweeps = made.sweeps_a_minute / 60
    return [
        *_functions(load, through, sweeps, made, prices),
        *_storage(load, through, made, prices),
        *_network(load, through, made, prices),
        line(
            prices,
            "pipeline",
            "logs",
            (through.batches * prices.use("batch_log_bytes") + sweeps * prices.use("sweep_log_bytes"))
            * month
            / GB,
            "log_ingestion",
        ),
        *_warehouse(through, made, prices),
    ]


def _functions(
    load: float, through: Flow, sweeps: float, made: Deployment, prices: PriceList
) -> Iterator[Line]:
    """A batch is three requests: the drain, the writer, and the note that it was applied."""
    use, month = prices.use, SECONDS_A_MONTH
    requests = (3 * through.batches + sweeps) * month
    yield line(prices, "pipeline", "Lambda requests", requests, "lambda_request")
    transform = (
        through.drain_busy * made.sources
        + through.batches * use("acknowledge_seconds")
        + sweeps * use("sweep_seconds")
    )
    for name, seconds, memory in (
        ("transform", transform, made.transform_memory),
        ("redshift_writer", through.writers, made.writer_memory),
    ):
        gb_seconds = seconds * month * memory / _MEGABYTES_A_GB
        yield line(prices, "pipeline", f"Lambda time, {name}", gb_seconds, "lambda_arm_second")


def _storage(load: float, through: Flow, made: Deployment, prices: PriceList) -> Iterator[Line]:
    month, size = SECONDS_A_MONTH, prices.use("event_bytes")
    is_large = through.batches > 0 and load / through.batches * size > _LARGEST_EVENT_BYTES
    puts = through.batches * (made.archives + (1 if is_large else 0))
    if puts:
        yield line(prices, "pipeline", "S3 objects written", puts * month, "s3_put")
    if made.archives:
        stored = load * size * month * made.archives / GB
        yield line(prices, "pipeline", "S3 archive, a month's events", stored, "s3_storage")


def _network(load: float, through: Flow, made: Deployment, prices: PriceList) -> Iterator[Line]:
    """What goes to Lambda; S3 has a gateway of its own, which is free."""
    price = {"endpoints": "interface_endpoint_traffic", "nat": "nat_gateway_traffic"}.get(made.through)
    if price:
        sent = load * prices.use("event_bytes") * SECONDS_A_MONTH / GB
        yield line(prices, "pipeline", "batches through the endpoint", sent, price)


def _warehouse(through: Flow, made: Deployment, prices: PriceList) -> Iterator[Line]:
    """Every batch wakes a serverless warehouse, for a minute at least: a change a minute is all month."""
    if made.rpu:
        awake = 1 - math.exp(-through.batches * prices.use("wake_seconds"))
        hours = awake * prices.hours_a_month * made.rpu
        item = f"Redshift Serverless, {made.rpu:g} RPU for {awake:.0%} of the month"
        yield line(prices, "warehouse", item, hours, "redshift_serverless")
