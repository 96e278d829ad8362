"""psycopg's errors as ours: what may be tried again, and what no later attempt can change."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import psycopg

from pgevents.errors import PgEventsError, TerminalError, TransientError

# SQLSTATE classes and codes of faults in the values themselves. Everything else (connections, locks, memory,
# and also privileges and table shapes, which a person puts right) may go better the next time.
VALUE_CLASSES = frozenset({"22", "23", "44", "P0"})
VALUE_CODES = frozenset({"54000"})  # for one, an index entry over 2,704 bytes

ADVICE = {
    "42501": "grant the sink's user CREATE and USAGE on the schema, and all on its tables",
    "42P10": "the target needs a primary key or a unique constraint on exactly the key of pipeline.toml",
    "25006": "point the sink at a server that takes writes",
    "23502": "the changes have no such column: give it a default, or let it be null",
}


class RefusedValues(TerminalError):
    """A statement failed for its values; the driver's error is the cause."""

    def __init__(self, message: str, constraint: str | None) -> None:
        super().__init__(message)
        self.constraint = constraint


@contextmanager
def driver_errors(doing: str, columns: Collection[str] = ()) -> Iterator[None]:
    """Raise what psycopg raises as TransientError or RefusedValues.

    `doing` says what was going on, in words that follow "could not"; `columns` are those that were written.
    """
    try:
        yield
    except psycopg.Error as error:
        raise _translated(error, doing, columns) from error
    except UnicodeEncodeError as error:
        raise RefusedValues(f"the text is not valid Unicode: {error}", None) from error


def _translated(error: psycopg.Error, doing: str, columns: Collection[str]) -> PgEventsError:
    message = error.diag.message_primary or str(error).strip() or type(error).__name__
    if _is_of_values(error, columns):
        return RefusedValues(message, error.diag.constraint_name)
    advice = ADVICE.get(error.sqlstate or "")
    code = f" ({error.sqlstate})" if error.sqlstate else ""
    return TransientError(f"could not {doing}: {message}{code}" + (f"; {advice}" if advice else ""))


def _is_of_values(error: psycopg.Error, columns: Collection[str]) -> bool:
    if error.sqlstate is None:  # raised in psycopg itself, as for a text with a zero byte
        return isinstance(error, psycopg.DataError)
    if error.sqlstate == "23502" and error.diag.column_name not in columns:
        return False  # a NULL that no change brought: the table's own column would refuse every row
    return error.sqlstate[:2] in VALUE_CLASSES or error.sqlstate in VALUE_CODES
