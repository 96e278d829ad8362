"""Change events of PostgreSQL tables: what a transform is written against.

from pgevents import ChangeEvent, Record, on

@on("accounts.public.account", "INSERT", "UPDATE")
def account(event: ChangeEvent) -> Record | None: ...
"""

from pgevents.event import ChangeEvent, EventType, Record, Row, Value, Version
from pgevents.transforms import on

__all__ = ["ChangeEvent", "EventType", "Record", "Row", "Value", "Version", "on"]
