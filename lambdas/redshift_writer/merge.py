"""From the staging table into the target: the newest version of a key stays, whatever order batches come in.

The effect depends on versions only. Older changes that arrive late, and changes that arrive twice, find a row
of the same or a newer version and give way; a deletion stays behind as a row of its own for that reason.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from redshift_writer.identifiers import folded, listed, qualified, quoted
from redshift_writer.sql import Sql, joined, sql
from redshift_writer.staging import Staged

Counted = Literal["", "inserted", "deleted", "truncated", "stale", "recorded"]


class Step(NamedTuple):
    """A statement, and what its row count is added to; "" for nothing."""

    sql: Sql
    counts: Counted = ""


def merge(schema: str, staged: Staged, truncated_before: int, moment: Sql) -> Iterator[Step]:
    """The statements that bring staged changes into their target.

    `truncated_before` is the version of the newest TRUNCATE that took effect already, 0 for none; `moment` is
    the time of this transaction as a timestamp literal.
    """
    if staged.rows and staged.table.mode != "mirror":
        yield _record(schema, staged, moment)
    if staged.table.mode != "history":
        if staged.truncated > truncated_before:
            yield _truncate(schema, staged)
        if staged.newest:
            yield from _replace(schema, staged, truncated_before)
    if staged.rows:
        yield Step(sql("drop table {stage}", stage=staged.name))


def _record(schema: str, staged: Staged, moment: Sql) -> Step:
    """Every version goes into the history once. A TRUNCATE is the row without a key."""
    key = [folded(column) for column in staged.table.key]
    return Step(
        sql(
            """insert into {history} ({columns}, "_clause", "_version", "_applied_at")
            select {staged_columns}, {clause}, s."_version", {moment}
            from {stage} s
            left join {history} h
                on h."_version" = s."_version"
                and h."_version" >= {first_version}
                and h."_clause" = {clause}
                and (({same_key}) or (h.{first} is null and s.{first} is null))
            where h."_version" is null""",
            history=qualified(schema, staged.shape.history),
            columns=listed(staged.columns),
            staged_columns=staged.values("s."),
            stage=staged.name,
            moment=moment,
            clause=sql("""case when s."_deleted" then 'DELETE' else 'INSERT' end"""),
            first_version=staged.first_version,
            same_key=_same_key(key, sql("h"), sql("s")),
            first=quoted(key[0]),
        ),
        "recorded",
    )


def _truncate(schema: str, staged: Staged) -> Step:
    versions = qualified(schema, staged.shape.versions)
    return Step(
        sql(
            'delete from {versions} where "_version" < {version}', versions=versions, version=staged.truncated
        ),
        "truncated",
    )


def _replace(schema: str, staged: Staged, truncated_before: int) -> Iterator[Step]:
    """What is not newer than the target leaves the staging table; all that remains replaces its key's row."""
    parts = {
        "stage": staged.name,
        "versions": qualified(schema, staged.shape.versions),
        "versions_name": quoted(staged.shape.versions),
        "columns": listed(staged.columns),
        "values": staged.values(),
        "same_key": _same_key(
            [folded(column) for column in staged.table.key], quoted(staged.shape.versions), staged.name
        ),
    }
    if staged.rows > staged.newest:
        yield Step(sql('delete from {stage} where not "_newest"', **parts))
    if truncated_before > staged.first_version:
        yield Step(
            sql('delete from {stage} where "_version" < {truncated}', **parts, truncated=truncated_before),
            "stale",
        )
    yield Step(
        sql(
            """delete from {stage} using {versions}
            where {same_key} and {versions_name}."_version" >= {stage}."_version\"""",
            **parts,
        ),
        "stale",
    )
    yield Step(sql("delete from {versions} using {stage} where {same_key}", **parts))
    insert = """insert into {versions} ({columns}, "_version", "_deleted")
        select {values}, "_version", "_deleted" from {stage} where """
    if staged.newest > staged.deletions:
        yield Step(sql(insert + 'not "_deleted"', **parts), "inserted")
    if staged.deletions:
        yield Step(sql(insert + '"_deleted"', **parts), "deleted")


def _same_key(key: list[str], left: Sql, right: Sql) -> Sql:
    return joined(
        (
            sql("{left}.{column} = {right}.{column}", left=left, right=right, column=quoted(column))
            for column in key
        ),
        " and ",
    )
