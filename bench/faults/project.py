"""The projects that are attacked: the traffic's tables in two sources."""

import re

from bench.faults.traffic import tables

INVOKING = "shop"
NOTIFYING = "office"
"""The source whose doorbell is aws_lambda.invoke, and the one whose doorbell is pg_notify and a relay."""
TABLES = dict.fromkeys((INVOKING, NOTIFYING), tables.schema())


def pipeline(shards: int) -> str:
    """The pipeline.toml of a project whose sources have so many shards. With several, batches are so small
    that the traffic makes a backlog, which is what is split."""
    described = tables.pipeline_toml((INVOKING, NOTIFYING), batch_events=100 if shards == 1 else 10)
    described = described.replace(
        f'[sources.{NOTIFYING}]\ndoorbell = "invoke"', f'[sources.{NOTIFYING}]\ndoorbell = "notify"'
    )
    return re.sub(r"^doorbell = .*", rf"\g<0>\nshards = {shards}", described, flags=re.M)
