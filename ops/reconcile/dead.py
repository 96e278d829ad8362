"""Which of the keys that differ have events in the dead-letter store: replay is for those, not repair."""

import msgspec
import psycopg

from ops.comparison.records import Finding
from ops.comparison.spool import Spool
from pgevents.batch import Values

_ASKED_AT_ONCE = 500


def mark_dead(spool: Spool, connection: psycopg.Connection, table: str, name: str) -> None:
    """Marks the findings of a table (`name` in pipeline.toml, `table` with its source) whose rows wait."""
    key_names = _key_names(connection, name)
    for page in spool.pages_of_findings(table, ("difference", "failed", "busy"), _ASKED_AT_ONCE):
        letters = _letters(connection, name, key_names, [finding for _, finding in page])
        for number, finding in page:
            origin = _origin(finding, key_names)
            if origin in letters:
                spool.settle(number, "dead", letters[origin])


def _letters(
    connection: psycopg.Connection, table: str, key_names: tuple[str, ...], findings: list[Finding]
) -> dict[Values | None, str]:
    """The first letter of each of these rows, in words, by the row's key."""
    asked = {
        msgspec.json.encode(dict(zip(key_names, origin, strict=True))).decode(): origin
        for finding in findings
        if (origin := _origin(finding, key_names)) is not None
    }
    found: dict[Values | None, str] = {}
    for key, letter, error in connection.execute(_LETTERS, {"table": table, "keys": list(asked)}):
        found.setdefault(asked[key], f"dead letter {letter}: {error}")
    return found


def _origin(finding: Finding, key_names: tuple[str, ...]) -> Values | None:
    """The key of the source row, as far as it is known, or where names alone suggest it."""
    if finding.source_key is not None:
        return finding.source_key
    return finding.key if finding.key_names == key_names else None


def _key_names(connection: psycopg.Connection, table: str) -> tuple[str, ...]:
    row = connection.execute(
        "select key from pgevents.captured_table where name = %s and ended is null", (table,)
    ).fetchone()
    return tuple(row[0]) if row else ()


_LETTERS = """
select asked.key, letter.dead_letter_id, letter.error
from pgevents.dead_letter as letter
cross join lateral json_array_elements(letter.keys) as its (key)
inner join (
    select a.key, a.key::jsonb as parsed from unnest(%(keys)s::text[]) as a (key)
) as asked on asked.parsed = its.key::jsonb
where letter.table_name = %(table)s and letter.resolved_at is null
order by letter.dead_letter_id
"""
