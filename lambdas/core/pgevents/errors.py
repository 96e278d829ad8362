"""What can go wrong, split by what the caller does next.

PgEventsError
├── TransientError    try again: nothing is wrong with the change itself
├── TerminalError     trying again cannot help: the change becomes a dead letter
├── SourceReplaced    the source was restored to an earlier state: it begins a new epoch, then goes on
└── InputError        a person's input is wrong: one line on stderr, exit code 2
"""

from pgevents.identity import BatchIdentity


class PgEventsError(Exception):
    """Base of every error that this system raises on purpose."""


class TransientError(PgEventsError):
    """A service or a connection failed; the same work may succeed later."""


class TerminalError(PgEventsError):
    """The change cannot be taken as it is, however often it is tried."""


class SourceReplaced(PgEventsError):
    """A sink holds a batch that the source's ledger does not have.

    The source was restored to an earlier state, or replaced. `batch_id` is the batch that was to be written
    when it was noticed, `found` what the sink holds: the same number opened at another time, or a newer one.
    """

    def __init__(self, sink: str, source: str, batch_id: int, found: BatchIdentity) -> None:
        super().__init__(
            f"sink {sink} holds batch {found} of source {source}, which its ledger does not have: "
            f"the source was restored to an earlier state (noticed at batch {batch_id})"
        )
        self.sink = sink
        self.source = source
        self.batch_id = batch_id
        self.found = found


class InputError(PgEventsError):
    """Somebody's file, argument or database is not as it must be.

    The message is one line: what is wrong, where, and what to do.
    """
