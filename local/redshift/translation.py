"""One statement of Redshift's SQL as PostgreSQL runs it, or the error that Redshift answers with."""

from functools import lru_cache
from typing import NamedTuple

from local.redshift.column_types import translated
from local.redshift.refusals import Refused, refusal_of
from local.redshift.table_ddl import Draft, ascii_lower, rewrite_alter_table, rewrite_create_table
from local.redshift.tokens import KEPT_LENGTH, Statement, words

_READING = frozenset(("select", "with", "show", "explain", "table"))
_WRITING = frozenset(("insert", "update", "delete", "merge"))
_SETTINGS = words(
    """query_group wlm_query_slot_count enable_result_cache_for_session json_parse_dedup_attributes
    json_parse_truncate_strings navigate_super_null_on_error cast_super_null_on_error
    parse_super_null_on_error describe_field_name_in_uppercase mv_enable_aqmv_for_session
    enable_vacuum_boost analyze_threshold_percent max_cursor_result_set_size"""
)
_RENAMED = {
    "nvl": "coalesce",
    "isnull": "coalesce",
    "ifnull": "coalesce",
    "json_serialize": "pg_catalog.json_serialize",  # unqualified it is PostgreSQL's own, with other arguments
}
_KEPT = 256
_DATE_PARTS_FIRST = frozenset(("dateadd", "datediff", "date_add", "date_diff"))


class Translation(NamedTuple):
    """A statement in PostgreSQL's words, and what has to run after it, "" for nothing."""

    sql: str
    then: str = ""


def translate(statement: Statement) -> Translation:
    """The statement in PostgreSQL's words; the same text when nothing in it is Redshift's own.

    Raises Refused for what Redshift does not have.
    """
    if not statement.code:
        return Translation(statement.text)
    return _kept(statement) if len(statement.text) <= KEPT_LENGTH else _translated(statement)


def _translated(statement: Statement) -> Translation:
    if _reads_catalog(statement):
        return Translation(statement.text)
    if refusal := refusal_of(statement):
        raise Refused(refusal)
    draft = Draft(statement)
    _fold_names(draft)
    _rewrite_words(draft)
    if statement.verb == "create":
        _rewrite_create(draft)
    elif statement.verb == "alter" and statement.keys[1:2] == ["table"]:
        rewrite_alter_table(draft)
    return Translation(draft.sql(), draft.then)


_kept = lru_cache(_KEPT)(_translated)
"""By the statement itself, not its text: one that comes again is the same one, as `tokens` keeps it."""


def _reads_catalog(statement: Statement) -> bool:
    """Whether a query looks at PostgreSQL's catalog: psql and pgAdmin need all of PostgreSQL there."""
    keys = statement.keys
    if statement.verb not in _READING or not _WRITING.isdisjoint(keys):
        return False
    if any(key.startswith(("pg_advisory_", "pg_try_advisory_", "pg_notify")) for key in keys):
        return False
    return any(key.startswith("pg_") or key == "information_schema" for key in keys)


def _fold_names(draft: Draft) -> None:
    """Quoted names fold to lower case like the others; a temporary table's # needs quotes."""
    for position, at in enumerate(draft.statement.code):
        kind, text = draft.statement.tokens[at]
        if kind == "name" and (folded := ascii_lower(text)) != text:
            draft.replace(position, folded)
        elif kind == "word" and text.startswith("#"):
            draft.replace(position, f'"{text.lower()}"')


def _rewrite_words(draft: Draft) -> None:
    keys = draft.keys
    for at, key in enumerate(keys):
        called = keys[at + 1 : at + 2] == ["("]
        if key in _RENAMED and called:
            draft.replace(at, _RENAMED[key])
        elif key in _DATE_PARTS_FIRST and called and at + 2 < len(keys) and keys[at + 2].isidentifier():
            draft.replace(at + 2, f"'{keys[at + 2]}'")
        elif key == "sysdate" and not called and keys[at - 1 : at] != ["."]:
            draft.replace(at, "(now() at time zone 'utc')")
        elif key == "level" and keys[at - 1 : at] == ["isolation"]:
            _rewrite_isolation(draft, at)
        elif key == "::" or (key == "as" and "cast" in keys):
            _rewrite_cast(draft, at + 1)
    _rewrite_setting(draft)


def _rewrite_isolation(draft: Draft, level: int) -> None:
    """Every level is the warehouse's own: SNAPSHOT, which PostgreSQL calls repeatable read."""
    words = 2 if draft.keys[level + 1] in ("read", "repeatable") else 1
    draft.replace(level + 1, "repeatable read", level + words)


def _rewrite_cast(draft: Draft, at: int) -> None:
    keys = draft.keys
    if keys[at + 1 : at + 3] == ["(", "max"]:
        draft.replace(at, translated(keys[at], "max").sql, draft.statement.closing(at + 1))
    elif keys[at : at + 1] in (["varbyte"], ["varbinary"]):
        end = draft.statement.closing(at + 1) if keys[at + 1 : at + 2] == ["("] else at
        draft.replace(at, "varbyte", end)


def _rewrite_setting(draft: Draft) -> None:
    """Redshift's own parameters become custom ones, so that setting and showing them works."""
    if draft.statement.verb in ("set", "show", "reset"):
        for at, key in enumerate(draft.keys[1:3], start=1):
            if key in _SETTINGS:
                draft.replace(at, f"redshift.{key}")


def _rewrite_create(draft: Draft) -> None:
    keys = draft.keys
    if "table" in keys[:4]:
        rewrite_create_table(draft)
    elif "view" in keys[:5] and keys[-4:] == ["with", "no", "schema", "binding"]:
        draft.replace(len(keys) - 4, "", len(keys) - 1)
