"""Every kind of fault, by what it strikes; importing this registers them all."""

from bench.faults.kind import KINDS
from bench.faults.kinds import invokes, operators, services, shards, sinks, sources, steps, warehouse

__all__ = ["KINDS", "invokes", "operators", "services", "shards", "sinks", "sources", "steps", "warehouse"]
