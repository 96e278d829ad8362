"""CREATE TABLE and ALTER TABLE of Redshift as PostgreSQL's: what only Redshift knows goes, its limits stay.

Works on a Draft: the pieces of a statement, of which each can be replaced or left out.
"""

from collections.abc import Iterator
from itertools import pairwise

from local.redshift.column_types import ColumnType, constraint_name, translated
from local.redshift.refusals import Refusal, Refused, syntax_error
from local.redshift.sort_keys import index_sort_key
from local.redshift.tokens import Statement, words

_ATTRIBUTES = words(
    """default not null primary unique references distkey sortkey encode identity generated collate check
    constraint"""
)
_NO_OPERATION = "replica identity default"


class Draft:
    """A statement while it is rewritten. Positions are those of `statement.keys`.

    `then` is what has to run after it, "" for nothing.
    """

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self.keys = statement.keys
        self.pieces = [token.text for token in statement.tokens]
        self.then = ""

    def replace(self, first: int, text: str, last: int | None = None) -> None:
        """Puts text in the place of the tokens from `first` to `last`, both included."""
        code = self.statement.code
        for at in range(code[first], code[first if last is None else last] + 1):
            self.pieces[at] = ""
        self.pieces[code[first]] = text

    def append(self, position: int, text: str) -> None:
        """Adds text behind a token."""
        self.pieces[self.statement.code[position]] += text

    def text(self, first: int, last: int) -> str:
        """What stands from `first` to `last`, both included, as it came."""
        code = self.statement.code
        return "".join(token.text for token in self.statement.tokens[code[first] : code[last] + 1])

    def plain_name(self, position: int) -> str:
        """The identifier at a position without quotes, as the catalog keeps it."""
        text = self.statement.tokens[self.statement.code[position]].text
        if text.startswith('"'):
            text = text[1:-1].replace('""', '"')
        return ascii_lower(text)

    def sql(self) -> str:
        """The statement as it stands now."""
        return "".join(self.pieces)


def ascii_lower(text: str) -> str:
    """Identifiers fold as Redshift folds them: ASCII letters only, quoted or not."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def rewrite_create_table(draft: Draft) -> None:
    """CREATE [TEMP] TABLE in place. Raises Refused for what Redshift would refuse."""
    keys = draft.keys
    name = keys.index("table") + 1
    if keys[name : name + 3] == ["if", "not", "exists"]:
        name += 3
    is_temporary = not {"temp", "temporary"}.isdisjoint(keys[:name])
    if keys[name].startswith("#") and not is_temporary:
        draft.replace(keys.index("table"), "temp table")
        is_temporary = True
    end_of_name = name + 2 if keys[name + 1 : name + 2] == ["."] else name
    rest = end_of_name + 1
    if keys[rest : rest + 1] == ["("]:
        closing = draft.statement.closing(rest)
        _rewrite_columns(draft, rest, closing)
        rest = closing + 1
    sort_key = _rewrite_table_attributes(draft, rest)
    if sort_key and not is_temporary:
        draft.then = index_sort_key(
            [draft.plain_name(at) for at in range(name, end_of_name + 1, 2)], sort_key
        )


def rewrite_alter_table(draft: Draft) -> None:
    """ALTER TABLE in place. Raises Refused for what Redshift would refuse."""
    keys = draft.keys
    name = keys.index("table") + 1
    action = name + (3 if keys[name + 1 : name + 2] == ["."] else 1)
    if any(True for _ in _top_level_commas(draft, action, len(keys))):
        raise Refused(syntax_error(","))
    words = keys[action : action + 3]
    if words[:1] == ["append"]:
        raise Refused(Refusal("0A000", "this stand-in for Redshift does not know ALTER TABLE APPEND"))
    if words[:1] == ["add"]:
        _rewrite_add(draft, action)
    elif words[:1] == ["alter"]:
        _rewrite_alter(draft, action)


def _rewrite_add(draft: Draft, action: int) -> None:
    keys = draft.keys
    if keys[action + 1] in ("constraint", "primary", "unique", "foreign"):
        draft.replace(action, _NO_OPERATION, len(keys) - 1)
        return
    if keys[action + 1] == "check":
        raise Refused(syntax_error("check"))
    column = action + (2 if keys[action + 1] == "column" else 1)
    if keys[column : column + 3] == ["if", "not", "exists"]:
        raise Refused(syntax_error("not"))
    _rewrite_column(draft, column, len(keys) - 1)


def _rewrite_alter(draft: Draft, action: int) -> None:
    keys = draft.keys
    column = action + (2 if keys[action + 1] == "column" else 1)
    if keys[column + 1 : column + 2] != ["type"]:
        # Distribution, sort order and encoding: nothing that a row store could change.
        draft.replace(action, _NO_OPERATION, len(keys) - 1)
        return
    changed, _ = _type_at(draft, column + 2, len(keys) - 1)
    if not changed.sql.startswith("varchar"):
        raise Refused(Refusal("0A000", "ALTER COLUMN TYPE is only supported for VARCHAR columns"))
    name = draft.plain_name(column)
    quoted = '"' + name.replace('"', '""') + '"'
    draft.replace(
        action,
        f"alter column {quoted} type {changed.sql}, drop constraint if exists {constraint_name(name)}, "
        f"add{changed.check(name)}",
        len(keys) - 1,
    )


def _rewrite_columns(draft: Draft, opening: int, closing: int) -> None:
    required: list[str] = []
    columns: dict[str, int] = {}
    kept: list[int] = []
    for first, last in _items(draft, opening, closing):
        if _is_constraint(draft, first, last, required):
            _drop_item(draft, first, last, kept)
            continue
        kept.append(first)
        if draft.keys[first] == "like":
            draft.append(last, " including constraints")
        elif last > first:
            _rewrite_column(draft, first, last)
        columns[draft.plain_name(first)] = last
    for name in required:
        draft.append(columns[name], " not null")


def _items(draft: Draft, opening: int, closing: int) -> list[tuple[int, int]]:
    edges = [opening, *_top_level_commas(draft, opening + 1, closing), closing]
    return [(first + 1, last - 1) for first, last in pairwise(edges) if last - first > 1]


def _top_level_commas(draft: Draft, first: int, last: int) -> Iterator[int]:
    depth = 0
    for at in range(first, last):
        depth += (draft.keys[at] == "(") - (draft.keys[at] == ")")
        if depth == 0 and draft.keys[at] == ",":
            yield at


def _is_constraint(draft: Draft, first: int, last: int, required: list[str]) -> bool:
    keys = draft.keys
    at = first + 2 if keys[first] == "constraint" else first
    if keys[at] == "check" or keys[at] == "exclude":
        raise Refused(syntax_error(keys[at]))
    if keys[at : at + 2] == ["primary", "key"]:
        required += [draft.plain_name(column) for column in range(at + 3, last) if keys[column] != ","]
        return True
    return keys[at] in ("unique", "foreign") and keys[at + 1] in ("(", "key")


def _drop_item(draft: Draft, first: int, last: int, kept: list[int]) -> None:
    """Constraints are notes for Redshift's planner: it enforces none of them, so neither does this."""
    if kept:
        draft.replace(first - 1, "", last)
    else:
        draft.replace(first, "", last + 1 if draft.keys[last + 1] == "," else last)


def _rewrite_column(draft: Draft, first: int, last: int) -> None:
    kind, end = _type_at(draft, first + 1, last)
    draft.replace(first + 1, kind.sql + kind.check(draft.plain_name(first)), end)
    at = end + 1
    while at <= last:
        at = _rewrite_attribute(draft, at, last) + 1


def _type_at(draft: Draft, first: int, last: int) -> tuple[ColumnType, int]:
    """The type whose name begins at `first`, and the position of its last token."""
    keys, words, arguments, end = draft.keys, [], "", first - 1
    at = first
    while at <= last and keys[at] not in _ATTRIBUTES:
        if keys[at] == "(":
            end = draft.statement.closing(at)
            arguments = draft.text(at + 1, end - 1).replace(" ", "")
        elif keys[at] == "[":
            words.append("[]")
            end = at + 1
        else:
            words.append(keys[at])
            end = at
        at = end + 1
    if not words:
        raise Refused(syntax_error(keys[min(first, len(keys) - 1)]))
    return translated(" ".join(words).replace(" []", "[]"), arguments), end


def _rewrite_attribute(draft: Draft, at: int, last: int) -> int:
    """Rewrites the column attribute at a position; the position of its last token."""
    keys, key = draft.keys, draft.keys[at]
    after = keys[at + 1] if at < last else ""
    if key == "check" or (key == "generated" and "identity" not in keys[at : last + 1]):
        raise Refused(syntax_error(key))
    if key == "primary":
        draft.replace(at, "not null", at + 1)
        return at + 1
    if key in ("unique", "distkey", "sortkey"):
        draft.replace(at, "")
        return at
    if key in ("encode", "collate"):
        draft.replace(at, "", at + 1)
        return at + 1
    if key == "references":
        end = draft.statement.closing(keys.index("(", at)) if "(" in keys[at : last + 1] else at + 1
        draft.replace(at, "", end)
        return end
    if key == "identity" and after == "(":
        return _rewrite_identity(draft, at, "generated always as ")
    return at


def _rewrite_identity(draft: Draft, at: int, prefix: str) -> int:
    end = draft.statement.closing(at + 1)
    seed, _, step = draft.text(at + 2, end - 1).replace(" ", "").partition(",")
    if draft.keys[at - 1] == "as":
        prefix = ""
    draft.replace(at, f"{prefix}identity (start with {seed} increment by {step or 1})", end)
    return end


_WITH_ARGUMENTS = frozenset(("distkey", "sortkey"))
_WITH_WORD = frozenset(("diststyle", "encode", "backup"))


def _rewrite_table_attributes(draft: Draft, at: int) -> list[str]:
    """Distribution and sort keys of a table in place, up to AS; the names of the sort key's columns."""
    keys = draft.keys
    sort_key: list[str] = []
    while at < len(keys) and keys[at] != "as":
        if keys[at] in ("compound", "interleaved"):
            draft.replace(at, "")
        elif keys[at] in _WITH_WORD or keys[at : at + 2] == ["sortkey", "auto"]:
            draft.replace(at, "", at + 1)
            at += 1
        elif keys[at] in _WITH_ARGUMENTS and keys[at + 1 : at + 2] == ["("]:
            end = draft.statement.closing(at + 1)
            if keys[at] == "sortkey":
                sort_key = [draft.plain_name(column) for column in range(at + 2, end, 2)]
            draft.replace(at, "", end)
            at = end
        else:
            raise Refused(syntax_error(keys[at]))
        at += 1
    return sort_key
