"""What an error of the server means."""

import pytest

from redshift_writer.failures import meaning_of
from redshift_writer.simple_query import ServerError

VIOLATION = (
    "Serializable isolation violation on table - 100167, transactions forming the cycle are: 1, 2 (pid:3)"
)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (ServerError("XX000", "1023", VIOLATION), "conflict"),
        (
            ServerError("XX000", "could not complete because of conflict with concurrent transaction"),
            "conflict",
        ),
        (ServerError("XX000", "could not open relation with OID 12345"), "conflict"),
        (ServerError("40P01", "deadlock detected"), "conflict"),
        (ServerError("42P07", 'Relation "t" already exists'), "conflict"),
        (ServerError("42710", 'type "t" already exists'), "conflict"),
        (ServerError("42P06", 'schema "s" already exists'), "conflict"),
        (ServerError("XX000", "tuple concurrently updated"), "conflict"),
        (ServerError("23505", 'duplicate key value violates "pg_type_typname_nsp_index"'), "conflict"),
        (ServerError("42P01", 'relation "t" does not exist'), "missing"),
        (ServerError("42703", 'column "c" does not exist'), "missing"),
        (ServerError("3F000", 'schema "s" does not exist'), "missing"),
        (ServerError("2BP01", "cannot drop view v because other objects depend on it"), "view_in_use"),
        (ServerError("XX000", "Value too long for character type"), "refused"),
        (ServerError("22P02", "invalid input syntax"), "refused"),
        (ServerError("22003", "integer out of range"), "refused"),
        (ServerError("XX000", "Numeric data overflow"), "refused"),
        (ServerError("42804", "column is of type x"), "refused"),
        (ServerError("42501", "permission denied"), "unavailable"),
        (ServerError("53300", "too many connections"), "unavailable"),
        (ServerError("57014", "Query cancelled on user's request"), "unavailable"),
        (ServerError("XX000", "Disk Full"), "unavailable"),
    ],
)
def test_error_has_its_meaning(error: ServerError, meaning: str) -> None:
    assert meaning_of(error) == meaning
