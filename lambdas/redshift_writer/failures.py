"""What an error of the server means for the batch."""

from typing import Literal

from redshift_writer.simple_query import ServerError

Meaning = Literal["conflict", "missing", "view_in_use", "refused", "unavailable"]

_CONFLICT_WORDS = (
    "serializable isolation violation",
    "conflict with concurrent transaction",
    "could not open relation with oid",
    "concurrently updated",
)
_CONFLICT_CODES = frozenset(
    (
        "40001",  # serialization failure
        "40P01",  # deadlock
        "55P03",  # lock not available
        # Two writers made one schema, table or its row type at once.
        "42P06",
        "42P07",
        "42710",
        "42701",  # or added one column
    )
)
_MISSING_CODES = frozenset(("42P01", "42703", "3F000"))  # table, column, schema
_REFUSED_CLASSES = frozenset(("22", "23"))  # data exceptions, constraints
_REFUSED_CODES = frozenset(("42804", "42846", "0A000", "54000"))
_REFUSED_WORDS = ("too long", "json parsing error", "exceeds the max size", "overflow", "out of range")


def meaning_of(error: ServerError) -> Meaning:
    """conflict: the same again may succeed now. missing: the tables are not as they were believed to be.
    view_in_use: a view could not be replaced. refused: the server will never take these values.
    unavailable: everything else; nothing is wrong with the changes."""
    words = f"{error.message} {error.detail}".lower()
    if error.message.strip() == "1023" or error.code in _CONFLICT_CODES:
        return "conflict"
    if error.code == "23505" and "pg_" in words:
        return "conflict"  # as above, noticed by the catalog's own index
    if any(part in words for part in _CONFLICT_WORDS):
        return "conflict"
    if error.code in _MISSING_CODES:
        return "missing"
    if error.code == "2BP01":
        return "view_in_use"
    if error.code[:2] in _REFUSED_CLASSES or error.code in _REFUSED_CODES:
        return "refused"
    return "refused" if any(part in words for part in _REFUSED_WORDS) else "unavailable"
