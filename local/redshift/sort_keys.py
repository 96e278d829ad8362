"""The sort key of a table as an index, which is how PostgreSQL finds rows by a key without reading them all.

Redshift skips the blocks in which no such key can be. Without either, each batch of the writer would read the
whole of its target, twice.
"""

from collections.abc import Sequence

COMPLETED = b"DO\0"
"""What PostgreSQL answers to `index_sort_key`. No client is ever told so: DO is refused."""


def index_sort_key(table: Sequence[str], columns: Sequence[str]) -> str:
    """SQL that makes the index unless it is there. `table` is the parts of its name, all names unquoted."""
    relation = ".".join('"' + part.replace('"', '""') + '"' for part in table)
    names = ", ".join(map(_literal, columns))
    return (
        "do $redshift$ begin perform pg_catalog.index_sort_key("
        f"{_literal(relation)}, array[{names}]); end $redshift$"
    )


def _literal(text: str) -> str:
    """A string as these sessions read it: with escapes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
