"""The statements of the traffic: whatever an application may do to rows.

The modules beside this one register their kinds when they are imported.
"""

from bench.faults.traffic.statements import keys, partitions, related, rows
from bench.faults.traffic.statements.kinds import KINDS, Make, some
from bench.faults.traffic.statements.rows import huge

__all__ = ["KINDS", "Make", "huge", "keys", "partitions", "related", "rows", "some"]
