"""Redshift SQL as tokens: enough to tell a keyword from a string, a quoted name or a comment."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

# Redshift descends from PostgreSQL 8.0: a backslash escapes inside a plain string.
_STRING = r"'[^'\\]*+(?:(?:''|\\.)[^'\\]*+)*+'"

_TOKEN = re.compile(
    rf"""
      (?P<space>\s+)
    | (?P<comment>--[^\n]*|/\*)
    | (?P<string>(?:[uU]&|[eEbBxXnN])?{_STRING})
    | (?P<name>(?:[uU]&)?"(?:[^"]|"")*")
    | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
    | (?P<parameter>\$\d+)
    | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<word>\#?[^\W\d][\w$]*)
    | (?P<mark>::|:=|[().,;:\[\]{{}}])
    | (?P<operator>(?:(?!--|/\*)[-+*/<>=~!@\#%^&|`?])+)
    | (?P<other>.)
    """,
    re.X | re.S,
)

_LITERAL = (
    rf"(?:{_STRING}(?:::float8)?|[-+]?\d[\d.eE+-]*+|null|true|false"
    rf"|(?:json_parse|from_hex)\({_STRING}\)|timestamp\s++{_STRING})"
)
_ROW = rf"\(\s*+{_LITERAL}(?:\s*+,\s*+{_LITERAL})*+\s*+\)"
_LITERAL_INSERT = re.compile(
    rf"\s*+insert\s++into\s++(?P<head>[^'();A-Z#]*+(?:\([^'();A-Z]*+\)\s*+)?)values\s*+{_ROW}(?:\s*+,\s*+{_ROW})*+\s*+(?:;|\Z)",
    re.S,
)

_PLAIN = re.compile(
    rf"""(?P<text>(?:[^'"$;/-]++|/(?!\*)|-(?!-)|{_STRING}|"(?:[^"]|"")*+")*+)(?:;|\Z)""", re.S
)
"""A statement without comments and dollar quotes: where it ends is seen without taking it apart."""


def words(text: str) -> frozenset[str]:
    """The words of a text, for rules that read better as prose than as a list."""
    return frozenset(text.split())


KEPT_LENGTH = 4_096
"""Statements of up to so many characters are kept as they were read: the writer sends most of its again."""
_KEPT = 256


class Token(NamedTuple):
    """A piece of SQL. Pieces joined in order are the text that they came from."""

    kind: str
    text: str

    @property
    def key(self) -> str:
        """What a rule compares: a word in lower case, a mark or an operator, one sign for the rest."""
        match self.kind:
            case "word":
                return self.text.lower()
            case "mark" | "operator":
                return self.text
            case "name":
                return '"'
            case "string" | "dollar":
                return "'"
            case _:
                return self.kind


class Statement:
    """One statement of a text, with its tokens.

    `tokens` is everything; `code` are the positions of those that are neither space nor comment, and `keys`
    what these compare as. Without tokens it is an insert of literals only: nothing in it needs a look.
    """

    def __init__(self, text: str, tokens: list[Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.code = [at for at, token in enumerate(tokens) if token.kind not in ("space", "comment")]
        self.keys = [tokens[at].key for at in self.code]

    @property
    def verb(self) -> str:
        """The first keyword, in lower case; "insert" for literals only, "" for an empty statement."""
        if not self.tokens:
            return "insert"
        return self.keys[0] if self.keys else ""

    def find(self, *phrase: str, start: int = 0) -> int:
        """Where in `keys` a run of keys begins, -1 for nowhere."""
        first, length = phrase[0], len(phrase)
        for at in range(start, len(self.keys) - length + 1):
            if self.keys[at] == first and tuple(self.keys[at : at + length]) == phrase:
                return at
        return -1

    def closing(self, opening: int) -> int:
        """Where in `keys` the parenthesis that opens at `opening` closes; the end when it never does."""
        depth = 0
        for at in range(opening, len(self.keys)):
            if self.keys[at] == "(":
                depth += 1
            elif self.keys[at] == ")":
                depth -= 1
                if depth == 0:
                    return at
        return len(self.keys)


def statements(sql: str) -> list[Statement]:
    """The statements of a text without their semicolons; empty ones only when there is nothing else."""
    found: list[Statement] = []
    position = 0
    while position < len(sql):
        if bulk := _LITERAL_INSERT.match(sql, position):
            found.append(Statement(bulk.group().rstrip().removesuffix(";"), []))
            position = bulk.end()
            continue
        statement, position = _next(sql, position)
        if statement.code:
            found.append(statement)
    return found or [Statement(sql, [Token("space", sql)])]


def _next(sql: str, position: int) -> tuple[Statement, int]:
    """The statement that begins at a position, and where the next one does."""
    plain = _PLAIN.match(sql, position)
    if plain and plain.end("text") - position <= KEPT_LENGTH:
        return _kept(plain["text"]), plain.end()
    tokens, position = _until_semicolon(sql, position)
    return Statement("".join(token.text for token in tokens), tokens), position


@lru_cache(_KEPT)
def _kept(text: str) -> Statement:
    return Statement(text, list(_tokens(text, 0)))


def _until_semicolon(sql: str, position: int) -> tuple[list[Token], int]:
    tokens: list[Token] = []
    for token in _tokens(sql, position):
        position += len(token.text)
        if token.text == ";" and token.kind == "mark":
            break
        tokens.append(token)
    return tokens, position


def _tokens(sql: str, position: int) -> Iterator[Token]:
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        if match is None or match.lastgroup is None:  # cannot be: `other` takes any character
            raise ValueError(f"no token at {position}")
        kind, end = match.lastgroup, match.end()
        if match.group() == "/*":
            end = _end_of_comment(sql, position)
        elif kind == "dollar":
            closing = sql.find(match.group(), end)
            end = len(sql) if closing < 0 else closing + len(match.group())
        yield Token(kind, sql[position:end])
        position = end


_COMMENT_EDGE = re.compile(r"/\*|\*/")


def _end_of_comment(sql: str, start: int) -> int:
    """Where a comment ends; comments nest."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(sql)
