"""What Redshift does not have, and the errors that it answers with."""

from collections.abc import Iterator
from typing import NamedTuple

from local.redshift.tokens import Statement, words

MAX_STATEMENT_BYTES = 16 * 1024 * 1024
MAX_BIND_VALUES = 32_767
MAX_VARCHAR_BYTES = 65_535


class Refusal(NamedTuple):
    """An error as the server reports it: SQLSTATE, message and detail."""

    code: str
    message: str
    detail: str = ""


class Refused(Exception):
    """Raised with the Refusal that a statement earns."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def syntax_error(near: str) -> Refusal:
    """The parser's answer to a clause that it does not know."""
    return Refusal("42601", f'syntax error at or near "{near}"')


def not_supported(what: str) -> Refusal:
    """The answer to a command of PostgreSQL that Redshift left out."""
    return Refusal("0A000", f'SQL command "{what}" not supported on Redshift tables.')


def unsupported_type(name: str) -> Refusal:
    """The answer to a column or a cast of a type that Redshift left out."""
    return Refusal("0A000", f'Column has unsupported type "{name}".')


SERIALIZATION = Refusal(
    "XX000",
    "1023",
    "Serializable isolation violation on table - 100167, transactions forming the cycle are: 1, 2 (pid:1)",
)
SNAPSHOT_CONFLICT = Refusal("XX000", "could not complete because of conflict with concurrent transaction")
VALUE_REFUSED = Refusal("22P02", "Invalid value in an insert (a fault of this stand-in for Redshift)")
STRING_TOO_LONG = Refusal(
    "XX000",
    "Value too long for character type",
    "\n  -----------------------------------------------\n  error:  Value too long for character type\n"
    "  code:      8001\n  -----------------------------------------------\n",
)


def statement_too_large(size: int) -> Refusal:
    """The answer to more than 16 MB of SQL in one message."""
    return Refusal(
        "54000",
        f"Statement is too large. Statement Size: {size} bytes. Maximum Allowed: {MAX_STATEMENT_BYTES} bytes",
    )


def too_many_values(count: int) -> Refusal:
    """The answer to more bind values than a signed 16-bit count holds."""
    return Refusal("08P01", f"prepared statement has {count} bind values, the limit is {MAX_BIND_VALUES}")


TYPES = words(
    """json jsonb uuid bytea serial bigserial smallserial serial2 serial4 serial8 money inet cidr macaddr
    macaddr8 xml tsvector tsquery bit varbit point line lseg box path polygon circle int4range
    int8range numrange tsrange tstzrange daterange hstore citext"""
)

_PHRASES = {
    ("on", "conflict"): "on",
    ("returning",): "returning",
    ("distinct", "on", "("): "on",
    ("for", "update"): "update",
    ("for", "share"): "share",
    ("for", "no", "key"): "no",
    ("lateral",): "lateral",
    ("tablesample",): "tablesample",
    ("on", "commit"): "on",
}
"""Clauses that Redshift's parser does not know, and the word at which it gives up."""
_COMMANDS = words(
    """listen unlisten notify savepoint release checkpoint cluster reindex do security discard load"""
)
_CREATED = words(
    """index domain type sequence trigger rule extension aggregate operator cast collation conversion
    publication subscription policy statistics server unlogged event access"""
)
_FUNCTIONS = words(
    """unnest array_agg string_agg array_to_json row_to_json to_json to_jsonb json_agg jsonb_agg
    json_build_object json_build_array json_object_agg jsonb_build_object jsonb_build_array jsonb_set
    jsonb_array_elements json_array_elements jsonb_each json_each jsonb_populate_record
    json_populate_record json_to_record jsonb_to_record gen_random_uuid pg_notify nextval setval
    currval lastval regexp_matches regexp_split_to_table regexp_split_to_array string_to_array
    array_to_string array_append array_cat array_length array_position hashtext pg_export_snapshot
    lo_import lo_export txid_current pg_current_xact_id"""
)
_OPERATORS = frozenset(("->", "->>", "#>", "#>>", "@>", "<@", "?|", "?&", "@?", "@@"))
_UNSPECIFIED = Refusal(
    "0A000", "Specified types or functions (one per INFO message) not supported on Redshift tables."
)


def refusal_of(statement: Statement) -> Refusal | None:
    """The first thing in a statement that Redshift does not have, None when it has everything.

    What stands in column definitions is left to `table_ddl`, which reads them anyway.
    """
    return next(_refusals(statement), None)


def _refusals(statement: Statement) -> Iterator[Refusal]:
    yield from _refused_commands(statement)
    yield from _refused_phrases(statement)
    yield from _refused_functions(statement)
    yield from _refused_casts(statement)
    if statement.verb == "merge":
        yield from _refused_merge(statement)


def _refused_commands(statement: Statement) -> Iterator[Refusal]:
    keys, verb = statement.keys, statement.verb
    if verb in _COMMANDS or (verb == "rollback" and "to" in keys):
        yield not_supported(verb.upper())
    if verb == "unload":
        yield Refusal("0A000", "this stand-in for Redshift does not know UNLOAD")
    if verb == "set" and "standard_conforming_strings" in keys:
        yield Refusal("55P02", 'parameter "standard_conforming_strings" cannot be changed')
    if verb == "create":
        created = [key for key in keys[1:5] if key not in ("or", "replace", "unique", "constraint")]
        if created and created[0] in _CREATED:
            yield not_supported(f"CREATE {created[0].upper()}")
        if created[:2] == ["materialized", "view"] and "concurrently" in keys:
            yield syntax_error("concurrently")


def _refused_phrases(statement: Statement) -> Iterator[Refusal]:
    for phrase, near in _PHRASES.items():
        if statement.find(*phrase) >= 0:
            yield syntax_error(near)
    depth = 0
    for at, key in enumerate(statement.keys):
        depth += (key == "(") - (key == ")")
        if key == "values" and statement.verb != "merge" and (depth or statement.verb != "insert"):
            yield syntax_error("values")
        if key == "array" and statement.keys[at + 1 : at + 2] == ["["]:
            yield syntax_error("[")


def _refused_functions(statement: Statement) -> Iterator[Refusal]:
    for at, key in enumerate(statement.keys):
        if key in _OPERATORS:
            yield Refusal("42883", f"operator does not exist: {key}")
        called = statement.keys[at + 1 : at + 2] == ["("]
        if called and (key in _FUNCTIONS or key.startswith(("pg_advisory_", "pg_try_advisory_"))):
            yield _UNSPECIFIED
        if key == "'" and statement.tokens[statement.code[at]].text[0] in "eE":
            yield Refusal("42704", 'type "e" does not exist')


def _refused_casts(statement: Statement) -> Iterator[Refusal]:
    for at in _type_positions(statement):
        name, after = statement.keys[at], statement.keys[at + 1 : at + 3]
        if name in TYPES:
            yield unsupported_type(name)
        if after == ["[", "]"]:
            yield unsupported_type(f"{name}[]")


def _type_positions(statement: Statement) -> Iterator[int]:
    """Where in `keys` a cast names its type."""
    keys = statement.keys
    for at, key in enumerate(keys[:-1]):
        if key == "::":
            yield at + 1
        elif key == "cast" and keys[at + 1] == "(":
            end = statement.closing(at + 1)
            yield from (inner + 1 for inner in range(at + 2, end) if keys[inner] == "as" and inner + 1 < end)


def _refused_merge(statement: Statement) -> Iterator[Refusal]:
    keys = statement.keys
    using = statement.find("using")
    name = 2 if keys[1:2] == ["into"] else 1
    length = 3 if keys[name + 1 : name + 2] == ["."] else 1
    if using != name + length:
        yield syntax_error(keys[name + length] if name + length < len(keys) else "merge")
    elif keys[using + 1] == "(":
        yield Refusal("0A000", "Source of MERGE must be a table")
    if statement.find("matched", "and") >= 0:
        yield syntax_error("and")
    if statement.find("do", "nothing") >= 0:
        yield syntax_error("nothing")
    if statement.find("remove", "duplicates") >= 0:
        yield Refusal("0A000", "this stand-in for Redshift does not know MERGE ... REMOVE DUPLICATES")
    elif statement.find("when", "matched") < 0 or statement.find("when", "not", "matched") < 0:
        yield Refusal("42601", "MERGE needs both WHEN MATCHED and WHEN NOT MATCHED, or REMOVE DUPLICATES")
