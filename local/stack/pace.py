"""How fast a stack comes back to what went wrong: for somebody who looks on, or for an attack."""

import msgspec


class Pace(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Times in seconds.

    `sweep`: from one sweep to the next; a minute on AWS, but here nobody pays for one, and somebody may look.
    `overdue`: how long a forwarded batch may take before the sweep sends it again.
    `retries`: Lambda's pauses before an event's further attempts; one minute and two on AWS.
    `transform_timeout`, `writer_timeout`: the Lambdas' time limits; `margin`: what a drain leaves of its own.
    `pulse`: how long a source's session may say nothing before the server ends it, and with it the lock of a
    drain that is frozen. `imports`: how long a handler's import may take; ten on AWS.
    `settings` are added to those of every PostgreSQL server.
    """

    sweep: float = 10.0
    overdue: float = 30.0
    retries: tuple[float, ...] = (5.0, 15.0)
    transform_timeout: float = 60.0
    writer_timeout: float = 120.0
    margin: float = 10.0
    pulse: float = 60.0
    imports: float = 10.0
    settings: dict[str, str] = {}
