"""The project that is attacked: the traffic's tables in two sources."""

from bench.faults.traffic import tables

INVOKING = "shop"
NOTIFYING = "office"
"""The source whose doorbell is aws_lambda.invoke, and the one whose doorbell is pg_notify and a relay."""
TABLES = dict.fromkeys((INVOKING, NOTIFYING), tables.schema())
PIPELINE = tables.pipeline_toml((INVOKING, NOTIFYING), batch_events=100).replace(
    f'[sources.{NOTIFYING}]\ndoorbell = "invoke"', f'[sources.{NOTIFYING}]\ndoorbell = "notify"'
)
