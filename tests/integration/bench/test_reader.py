"""The reader of the end-to-end bench sees each row that becomes visible, and reads rows only when any may have."""

import psycopg
from psycopg import sql

from bench.end_to_end.reader import Reader

ROWS = sql.SQL(
    "select entry_id, extract(epoch from stamped_at)::float8 from entry where stamped_at > to_timestamp(%s)"
)
WRITE = """
insert into entry values (1, clock_timestamp())
on conflict (entry_id) do update set stamped_at = excluded.stamped_at
"""


class Counted(psycopg.Cursor[tuple[object, ...]]):
    """Counts what is asked with a parameter: the looks at rows."""

    looks = 0

    def execute(self, query, params=None, **more):
        Counted.looks += params is not None
        return super().execute(query, params, **more)


def test_rows_are_read_once_for_each_change(database: str) -> None:
    with (
        psycopg.connect(database, autocommit=True) as writer,
        psycopg.connect(database, autocommit=True, cursor_factory=Counted) as sink,
    ):
        writer.execute("create table entry (entry_id integer primary key, stamped_at timestamptz)")
        reader = Reader()
        reader.look(sink, ROWS)
        for number in (1, 2, 3):
            writer.execute(WRITE)
            for _ in range(5):
                reader.look(sink, ROWS)
            assert len(reader.latencies) == number
    assert Counted.looks <= 2 * 4
