"""The pipeline that is measured: one table of twelve mixed columns, everything on."""

from collections.abc import Sequence

from pgevents.config import Doorbell

SINKS = ("replica", "archive", "warehouse")

TABLE = """
create table public.entry (
    entry_id bigint primary key, counter integer not null, stamped_at timestamptz not null,
    amount numeric(20, 4) not null, rate double precision not null, is_open boolean not null,
    due date not null, token uuid not null, name varchar(60) not null, note text, tags text[], extra jsonb
);
"""

_SINKS = """
[sinks.replica]
type = "postgres"
[sinks.archive]
type = "s3"
[sinks.warehouse]
type = "redshift"
"""

_SOURCE = """
[sources.{source}]
doorbell = "{doorbell}"
[[sources.{source}.tables]]
table = "public.entry"
[[routes]]
table = "{source}.public.entry"
sinks = [{sinks}]
target = "{target}"
"""


def pipeline(sources: Sequence[str], sinks: Sequence[str] = SINKS, doorbell: Doorbell = "invoke") -> str:
    """A pipeline.toml that captures the table in every source and sends it to these sinks."""
    named = ", ".join(f'"{sink}"' for sink in sinks)
    return _SINKS + "".join(
        _SOURCE.format(doorbell=doorbell, source=source, sinks=named, target=target_of(source))
        for source in sources
    )


def target_of(source: str) -> str:
    """Where a source's entries go, in every sink."""
    return f"{source}_entry"
