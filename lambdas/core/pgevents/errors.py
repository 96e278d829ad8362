"""What can go wrong, split by what the caller does next.

PgEventsError
├── TransientError    try again: nothing is wrong with the change itself
├── TerminalError     trying again cannot help: the change becomes a dead letter. One that names no change
│                     is about the whole batch: the writer answers `failed`, and the batch is sent again
│                     until somebody has mended what refuses it
├── SourceReplaced    (identity.py) the source was restored to an earlier state: it begins a new epoch
└── InputError        a person's input is wrong: one line on stderr, exit code 2

The command line knows these before anything is installed, so nothing else is imported here.
"""


class PgEventsError(Exception):
    """Base of every error that this system raises on purpose."""


class TransientError(PgEventsError):
    """A service or a connection failed; the same work may succeed later."""


class TerminalError(PgEventsError):
    """The change, or the batch, cannot be taken as it is, however often it is tried."""


class InputError(PgEventsError):
    """Somebody's file, argument or database is not as it must be.

    The message is one line: what is wrong, where, and what to do.
    """
