"""A large batch goes through S3 and COPY, and the tables are what literals would have made of it."""

import zlib
from collections.abc import Iterator

import pytest

from local.emulator import ACCESS_KEY, REGION, Emulator
from local.redshift import Fault
from pgevents.batch import Change, Column, Mode, TableChanges
from pgevents.config import Policies
from pgevents.errors import TransientError
from pgevents.refusals import RefusedChanges
from redshift_writer.aws import Objects
from redshift_writer.copying import Place
from tests.integration.redshift_writer.changes import account, delete, insert
from tests.integration.redshift_writer.conftest import BUCKET, Target

ROLE = "arn:aws:iam::000000000000:role/copy"
NULLABLE = {
    "flag": "boolean",
    "small": "smallint",
    "amount": "numeric(12,2)",
    "ratio": "double precision",
    "born": "date",
    "seen": "timestamp with time zone",
    "local": "timestamp without time zone",
    "note": "text",
    "settings": "jsonb",
    "raw": "json",
    "tags": "text[]",
    "numbers": "integer[]",
    "bytes": "bytea",
    "token": "uuid",
}
COLUMNS = (Column("id", "bigint"), *(Column(name, kind) for name, kind in NULLABLE.items()))
PLAIN = (
    "t", "-7", "12.50", "0.25", "1990-05-17", "2026-01-01 12:00:00.123456+00", "2026-01-01 12:00:00", 'a "b", c\r\nd',
    '{"a": "it\'s \\\\ \\" é"}', "[1, 2]", '{a,"b, c",NULL}', "{1,NULL}", "\\x00ff",
    "7d444840-9dc0-11d1-b245-5ffdce74fad2",
)  # fmt: skip
ODD = (
    "f", "-32768", "-0.00", "-0", "0044-03-15 BC", "2024-02-29 23:59:59+00", "9999-12-31 23:59:59", "\\N",
    '"\\\\N"', '{"a" : 1}', '{"a\\"b","c\\\\d"}', "{}", "\\x", "00000000-0000-0000-0000-000000000000",
)  # fmt: skip


class Bucket:
    """The bucket, and the names of what was written there."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.written: list[str] = []

    def put(self, bucket: str, key: str, body: bytes) -> None:
        self._objects.put(bucket, key, body)
        self.written.append(key)

    @property
    def place(self) -> Place:
        return Place(BUCKET, ROLE, self.put)


@pytest.fixture
def bucket(s3: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name, value in {
        "AWS_ENDPOINT_URL": s3.url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("redshift_writer.copying.COPY_BYTES", 1)
    monkeypatch.setattr("redshift_writer.copying._SLICE_ROWS", 7)
    yield Bucket(Objects())


def mixed(mode: Mode, first_version: int = 1) -> TableChanges:
    """Rows that are plain, odd, all NULL, deleted, and changed twice."""
    nothing = (None,) * len(NULLABLE)
    changes = []
    for at in range(40):
        values = ODD if at % 13 == 5 else nothing if at % 11 == 3 else PLAIN
        changes.append(Change("INSERT", first_version + at, (str(at % 30), *values)))
    changes.append(Change("DELETE", first_version + 40, ("29", *nothing)))
    return TableChanges("account", mode, ("warehouse",), ("id",), COLUMNS, changes)


def everything(target: Target, table: str) -> list[tuple[object, ...]]:
    columns = ", ".join(f'"{column.name}"::text' for column in COLUMNS)
    control = '"_clause", "_version"' if table.endswith("history") else '"_version", "_deleted"'
    return target.look(f"select {columns}, {control} from {{s}}.{table} order by id, _version, 1")


@pytest.mark.parametrize("mode", ["mirror", "history", "both"])
def test_tables_are_what_literals_make_of_them(target: Target, bucket: Bucket, mode: Mode) -> None:
    tables = [
        name
        for name, other in (("account__versions", "history"), ("account_history", "mirror"))
        if mode != other
    ]
    target.writer().apply(target.batch(mixed(mode), mixed(mode, 100), batch_id=1))
    expected = {table: everything(target, table) for table in tables}
    target.execute("drop schema {s} cascade")
    writer = target.writer(copies=bucket.place)
    writer.apply(target.batch(mixed(mode), mixed(mode, 100), batch_id=1))
    assert len(bucket.written) == 2
    assert {table: everything(target, table) for table in tables} == expected
    assert all(len(rows) > 25 for rows in expected.values())

    again = target.writer(copies=bucket.place).apply(target.batch(mixed(mode), mixed(mode, 100), batch_id=2))
    assert (again.attempts, again.first) == (1, True)
    assert {table: everything(target, table) for table in tables} == expected


@pytest.mark.parametrize("copies", [True, False])
def test_warm_batch_takes_two_round_trips(target: Target, bucket: Bucket, copies: bool) -> None:
    writer = target.writer(copies=bucket.place if copies else None)
    writer.apply(target.batch(mixed("both")))
    assert writer.apply(target.batch(mixed("both", 100))).round_trips == 2
    assert len(bucket.written) == (2 if copies else 0)


def test_same_rows_have_one_name_and_others_another(target: Target, bucket: Bucket) -> None:
    rows = [insert(1, 1, "a"), insert(2, 2, "b")]
    for changes in (rows, rows, rows[:1]):
        target.writer(copies=bucket.place).apply(target.batch(account(*changes), batch_id=7))
        target.execute("truncate {s}.pgevents_applied_batch")
    first, second, other = bucket.written
    assert first == second != other
    assert first.startswith("staged/accounts/1-7/")


@pytest.mark.parametrize("kind", ["refuse_value", "serialization"])
def test_copy_that_the_warehouse_refuses_gives_way_to_literals(
    target: Target, bucket: Bucket, kind: str
) -> None:
    writer = target.writer(copies=bucket.place)
    writer.apply(target.batch(account(insert(1, 1, "a"))))
    target.warehouse.control.arm(Fault(kind, match="^copy", count=1 if kind == "serialization" else None))  # type: ignore[arg-type]
    applied = writer.apply(target.batch(account(insert(2, 1, "b"))))
    assert (applied.attempts, applied.counts.inserted) == (2, 1)
    # After a conflict the same again; a refusal would only be repeated.
    assert len(bucket.written) == (3 if kind == "serialization" else 2)
    assert target.read("select id, name from {s}.account") == [(1, "b")]


def test_bucket_that_takes_nothing_gives_way_to_literals(target: Target, bucket: Bucket) -> None:
    with pytest.raises(TransientError, match="cannot write s3://no-such-bucket/"):
        Objects().put("no-such-bucket", "x", b"")
    writer = target.writer(copies=Place("no-such-bucket", ROLE, Objects().put))
    writer.apply(target.batch(account(insert(1, 1, "a"))))
    assert writer.apply(target.batch(account(insert(2, 1, "b")))).attempts == 1
    assert target.read("select id, name from {s}.account") == [(1, "b")]


def test_load_that_is_not_whole_is_not_believed(target: Target, bucket: Bucket) -> None:
    """An object that lost its rows on the way loads without an error: the rows are counted."""

    def lose(bucket_name: str, key: str, body: bytes) -> None:
        lines = zlib.decompress(body, wbits=31).splitlines(keepends=True)
        bucket.put(bucket_name, key, zlib.compress(b"".join(lines[1:]), wbits=31))

    target.writer().apply(target.batch(account(insert(0, 0))))  # the tables are there
    writer = target.writer(copies=Place(BUCKET, ROLE, lose))
    applied = writer.apply(target.batch(account(insert(1, 1, "a"), insert(2, 2, "b"))))
    assert (applied.attempts, applied.counts.inserted) == (2, 2)
    assert len(bucket.written) == 1
    assert target.read("select id from {s}.account order by 1") == [(0,), (1,), (2,)]


def test_refused_row_of_a_copied_batch_is_found_and_named(target: Target, bucket: Bucket) -> None:
    writer = target.writer(copies=bucket.place)
    writer.apply(target.batch(account(insert(1, 1, "a"))))
    target.look("select 1")
    _constrain(target)
    rows = [insert(n, n, "poison" if n == 33 else "fine") for n in range(2, 60)]
    with pytest.raises(RefusedChanges, match=r"account \(id=33\)"):
        writer.apply(target.batch(account(*rows, delete(99, 1)), batch_id=2))
    rest = [row for row in rows if row.version != 33]
    assert writer.apply(target.batch(account(*rest, delete(99, 1)), batch_id=2)).counts.inserted == 57


def _constrain(target: Target) -> None:
    import psycopg

    with psycopg.connect(target.warehouse.upstream, autocommit=True) as connection:
        connection.execute(
            f"alter table \"{target.schema}\".account__versions add constraint c check (name <> 'poison')".encode()
        )


@pytest.mark.parametrize("policy", ["dead_letter", "null"])
def test_policies_hold_beside_a_copy(target: Target, bucket: Bucket, policy: str) -> None:
    table = TableChanges(
        "measure",
        "mirror",
        ("warehouse",),
        ("id",),
        (Column("id", "bigint"), Column("value", "numeric(5,2)")),
        [Change("INSERT", n, (str(n), "NaN" if n == 5 else "1.25")) for n in range(1, 9)],
    )
    writer = target.writer(Policies(out_of_range=policy), copies=bucket.place)  # type: ignore[arg-type]
    if policy == "dead_letter":
        with pytest.raises(RefusedChanges, match=r"measure \(id=5\), column value"):
            writer.apply(target.batch(table))
        return
    writer.apply(target.batch(table))
    assert len(bucket.written) == 1
    assert target.read("select id from {s}.measure where value is null") == [(5,)]
    assert target.read("select count(*) from {s}.measure where value = 1.25") == [(7,)]


def test_small_batch_goes_by_literals(
    target: Target, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redshift_writer.copying.COPY_BYTES", 1_000)
    writer = target.writer(copies=bucket.place)
    writer.apply(target.batch(account(insert(1, 1, "x" * 900))))
    assert bucket.written == []
    writer.apply(target.batch(account(insert(2, 1, "x" * 1_000))))
    assert len(bucket.written) == 1
