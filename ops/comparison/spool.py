"""What has been read so far, in a file: hashes of rows, a place at a time, and how far each reading has come.

A page and its position are one transaction, so a reading that was interrupted goes on behind its last page.
Memory stays bounded whatever the tables hold: SQLite sorts in files.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self, cast

import msgspec

from ops.comparison.difference import Kind
from ops.comparison.place import Seen
from ops.comparison.records import Candidate, Finding, Stage, Wanted
from pgevents.batch import Values
from pgevents.errors import InputError

_CACHE_KILOBYTES = 16 * 1024


class Spool:
    """The file. One process at a time; raises InputError when another one has it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._database = sqlite3.connect(path, isolation_level=None, timeout=0.2)
        try:
            self._database.executescript(
                "pragma locking_mode = exclusive; pragma journal_mode = truncate; pragma synchronous = off;"
                f"pragma cache_size = -{_CACHE_KILOBYTES}; pragma temp_store = file; begin immediate; commit;"
            )
            self._database.executescript(_TABLES)
        except sqlite3.OperationalError as error:
            self._database.close()
            raise InputError(f"{path}: {error}; does another ./pgevents reconcile run?") from error
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise InputError(f"{path}: {error}; begin anew with --restart") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def remove(self) -> None:
        """Closes the file and deletes it: the work is done."""
        self._database.close()
        for suffix in ("", "-journal"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def note(self, name: str, value: str) -> None:
        """Keeps a text under a name."""
        self._database.execute("insert or replace into note (name, value) values (?, ?)", (name, value))

    def noted(self, name: str) -> str:
        """The text under a name, "" for none."""
        row = self._database.execute("select value from note where name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def stage(self, name: str) -> Stage:
        """How far the reading of this name has come."""
        row = self._database.execute(
            "select position, rows, done from stage where name = ?", (name,)
        ).fetchone()
        return Stage(row[0], row[1], bool(row[2])) if row else Stage()

    @contextlib.contextmanager
    def page(self) -> Iterator[None]:
        """What is kept within the block takes effect at its end, all of it or nothing."""
        self._database.execute("begin")
        try:
            yield
            self._database.execute("commit")
        except BaseException:
            self._database.execute("rollback")
            raise

    def reach(self, name: str, stage: Stage) -> None:
        """Notes how far a reading has come."""
        self._database.execute(
            "insert or replace into stage (name, position, rows, done) values (?, ?, ?, ?)", (name, *stage)
        )

    def add_seen(self, place: int, seen: Iterable[Seen]) -> None:
        """Keeps rows that a place holds."""
        self._database.executemany(
            "insert into seen (place, hash, key, version, digest, origin) values (?, ?, ?, ?, ?, ?)",
            ((place, row.hash, _text(row.key), row.version, row.digest, row.origin) for row in seen),
        )

    def add_wanted(self, form: int, rows: Iterable[Wanted]) -> None:
        """Keeps rows that the places of one form must hold."""
        self._database.executemany(
            "insert into wanted (form, hash, digest, key, source_key) values (?, ?, ?, ?, ?)",
            ((form, row.hash, row.digest, _text(row.key), _text(row.source_key)) for row in rows),
        )

    def clear(self) -> None:
        """Forgets what was read of one source table; findings and notes stay."""
        for statement in ("delete from seen", "delete from wanted", "delete from origin"):
            self._database.execute(statement)

    def index_seen(self) -> None:
        """Lets `newest` find its key."""
        self._database.execute("create index if not exists seen_hash on seen (place, hash)")

    def newest(self, place: int, hash_: bytes) -> Seen | None:
        """The newest of what was seen under a key."""
        row = self._database.execute(
            "select hash, key, version, digest, origin from seen"
            " where place = ? and hash = ? order by version desc limit 1",
            (place, hash_),
        ).fetchone()
        return None if row is None else _seen(row)

    def origin(self, name: str) -> int:
        """The number of a name that rows were read from."""
        self._database.execute("insert or ignore into origin (name) values (?)", (name,))
        return int(self._database.execute("select id from origin where name = ?", (name,)).fetchone()[0])

    def has_origin(self, name: str) -> bool:
        """Whether rows were read from this name."""
        found = self._database.execute("select 1 from origin where name = ?", (name,))
        return found.fetchone() is not None

    def origin_name(self, number: int) -> str:
        """The name behind such a number."""
        return str(self._database.execute("select name from origin where id = ?", (number,)).fetchone()[0])

    def seen(self, place: int) -> Iterator[Seen]:
        """What a place holds, in order of the hash, of each key the newest first."""
        rows = self._database.execute(
            "select hash, key, version, digest, origin from seen where place = ? order by hash, version desc",
            (place,),
        )
        return map(_seen, rows)

    def wanted(self, form: int, known_in: Sequence[int] = ()) -> Iterator[Wanted]:
        """What the places of a form must hold, in order of the hash; only keys that `known_in` have seen,
        where that names places."""
        rows = self._database.execute(
            _WANTED,
            {"form": form, "places": _encoder.encode(list(known_in)).decode()},
        )
        for hash_, digest, key, source_key in rows:
            yield Wanted(hash_, digest, _values(key), _values(source_key))

    def unseen(self, place: int, form: int, known_in: Sequence[int]) -> Iterator[Candidate]:
        """Keys that other places have seen, and that this one has neither seen nor must hold."""
        rows = self._database.execute(
            _UNSEEN, {"place": place, "form": form, "places": _encoder.encode(list(known_in)).decode()}
        )
        return (Candidate(hash_, _values(key), None, 0) for hash_, key in rows)

    def count_wanted(self, form: int, known_in: Sequence[int] = ()) -> int:
        """How many rows the places of a form must hold, of the same keys."""
        row = self._database.execute(
            _COUNT_WANTED,
            {"form": form, "places": _encoder.encode(list(known_in)).decode()},
        ).fetchone()
        return int(row[0])

    def seen_keys(self, behind: bytes, limit: int) -> list[tuple[bytes, Values]]:
        """Keys that any place has seen, each once, in order of the hash."""
        rows = self._database.execute(
            "select hash, min(key) from seen where hash > ? group by hash order by hash limit ?",
            (behind, limit),
        )
        return [(hash_, _values(key)) for hash_, key in rows]

    def add_candidates(self, place: int, candidates: Iterable[Candidate]) -> None:
        """Keeps keys of a place that have to be looked at again."""
        self._database.executemany(
            "insert into candidate (place, hash, key, source_key, version) values (?, ?, ?, ?, ?)",
            (
                (place, c.hash, _text(c.key), c.source_key and _text(c.source_key), c.version)
                for c in candidates
            ),
        )

    def take_candidates(self, limit: int) -> list[tuple[int, Candidate]]:
        """The next keys to look at again, each behind its place."""
        rows = self._database.execute(
            "select rowid, place, hash, key, source_key, version from candidate order by rowid limit ?",
            (limit,),
        ).fetchall()
        self._database.executemany("delete from candidate where rowid = ?", ((row[0],) for row in rows))
        return [
            (place, Candidate(hash_, _values(key), source_key and _values(source_key), version))
            for _, place, hash_, key, source_key, version in rows
        ]

    def add_findings(self, findings: Iterable[Finding]) -> None:
        """Keeps what became of keys."""
        self._database.executemany(
            "insert or replace into finding values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_row_of, findings)
        )

    def findings(self, state: str | None = None, table: str | None = None) -> Iterator[tuple[int, Finding]]:
        """Findings with their numbers, in the order in which they were made."""
        rows = self._database.execute(
            "select rowid, * from finding where state = coalesce(?, state)"
            " and table_name = coalesce(?, table_name) order by rowid",
            (state, table),
        )
        return ((number, _finding(row)) for number, *row in rows)

    def pages_of_findings(
        self, table: str, states: Sequence[str], size: int
    ) -> Iterator[list[tuple[int, Finding]]]:
        """The findings of a table in any of these states, so many at a time."""
        last = 0
        while True:
            rows = self._database.execute(
                "select rowid, * from finding where table_name = ? and rowid > ?"
                " and state in (select value from json_each(?)) order by rowid limit ?",
                (table, last, _encoder.encode(states).decode(), size),
            ).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield [(number, _finding(row)) for number, *row in rows]

    def settle(self, number: int, state: str, why: str = "") -> None:
        """Gives a finding another state."""
        self._database.execute("update finding set state = ?, why = ? where rowid = ?", (state, why, number))

    def counts(self) -> dict[tuple[str, str, str], int]:
        """How many findings there are by sink, place and state."""
        rows = self._database.execute(
            "select sink, place, state, count(*) from finding group by sink, place, state"
        )
        return {(sink, place, state): count for sink, place, state, count in rows}


_TABLES = """
create table if not exists note (name text primary key, value text) without rowid;
create table if not exists stage (
    name text primary key, position text, rows integer, done integer
) without rowid;
create table if not exists origin (id integer primary key, name text unique);
create table if not exists seen (
    place integer, hash blob, key text, version integer, digest blob, origin integer
);
create index if not exists seen_place on seen (place);
create table if not exists wanted (form integer, hash blob, digest blob, key text, source_key text);
create index if not exists wanted_form on wanted (form);
create table if not exists candidate (
    place integer, hash blob, key text, source_key text, version integer
);
create table if not exists finding (
    table_name text, sink text, place text, kind text, key text, key_names text, columns text,
    source_key text, version integer, state text, why text
);
create unique index if not exists finding_once on finding (table_name, sink, place, key);
"""
_WANTED = """
select hash, digest, key, source_key
from wanted
where form = :form and (
    :places = '[]'
    or hash in (select s.hash from seen as s where s.place in (select value from json_each(:places)))
)
order by hash
"""
_UNSEEN = """
select s.hash, min(s.key)
from seen as s
where s.place in (select value from json_each(:places)) and s.hash <> x''
    and s.hash not in (select o.hash from seen as o where o.place = :place)
    and s.hash not in (select w.hash from wanted as w where w.form = :form)
group by s.hash
"""
_COUNT_WANTED = """
select count(distinct hash)
from wanted
where form = :form and (
    :places = '[]'
    or hash in (select s.hash from seen as s where s.place in (select value from json_each(:places)))
)
"""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(tuple[str | None, ...])


def _text(values: Values) -> str:
    return _encoder.encode(values).decode()


def _values(text: str) -> Values:
    return _decoder.decode(text)


def _seen(row: Sequence[object]) -> Seen:
    hash_, key, version, digest, origin = row
    return Seen(
        cast(bytes, hash_),
        _values(str(key)),
        cast(int, version),
        cast(bytes | None, digest),
        cast(int, origin),
    )


def _row_of(finding: Finding) -> tuple[object, ...]:
    return (
        finding.table, finding.sink, finding.place, finding.kind, _text(finding.key),
        _text(finding.key_names), _text(finding.columns),
        finding.source_key and _text(finding.source_key), finding.version, finding.state, finding.why,
    )  # fmt: skip


def _finding(row: Sequence[str]) -> Finding:
    table, sink, place, kind, key, key_names, columns, source_key, version, state, why = row
    names, differing = (cast(tuple[str, ...], _values(text)) for text in (key_names, columns))
    origin = _values(source_key) if source_key else None
    return Finding(
        table, sink, place, cast(Kind, kind), _values(key), names, differing, origin, int(version), state, why
    )
