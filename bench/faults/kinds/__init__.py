"""Every kind of fault, by what it strikes; importing this registers them all."""

from bench.faults.kinds import invokes, operators, services, sinks, sources, steps, warehouse

__all__ = ["invokes", "operators", "services", "sinks", "sources", "steps", "warehouse"]
