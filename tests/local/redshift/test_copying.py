"""COPY from S3 as Redshift takes it: what it loads, and what it refuses."""

import gzip
from collections.abc import Callable, Iterator
from itertools import count

import psycopg
import pytest

from local.emulator import Emulator
from local.postgres import PostgresServer, free_port
from local.redshift.copying import command_of
from local.redshift.refusals import Refused
from local.redshift.tokens import statements
from tests.local.redshift.stand_in import Running, running

ROLE = "iam_role 'arn:aws:iam::000000000000:role/copy'"
OPTIONS = f"{ROLE} format as csv null as '\\\\N' timeformat 'auto'"
_numbers = count(1)

Put = Callable[..., str]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path_factory.mktemp("aws"), free_port())
    emulator.start()
    emulator.create_bucket("files")
    yield emulator
    emulator.stop()


@pytest.fixture(scope="module")
def warehouse(
    postgres_server: PostgresServer, s3: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    postgres_server.create_database("copying")
    folder = tmp_path_factory.mktemp("copying")
    with running(folder, postgres_server.dsn("copying"), s3.url) as stand_in:
        yield stand_in


@pytest.fixture
def client(warehouse: Running) -> Iterator[psycopg.Connection]:
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("create table t (id bigint, name varchar(8), at timestamptz)")
        yield connection
        connection.execute("drop table t")


@pytest.fixture
def put(s3: Emulator) -> Put:
    """Writes files; the prefix that they have in common."""
    objects = s3.session.client("s3", endpoint_url=s3.url)

    def written(*files: bytes) -> str:
        prefix = f"rows/{next(_numbers)}/"
        for number, file in enumerate(files):
            objects.put_object(Bucket="files", Key=f"{prefix}{number}", Body=file)
        return f"s3://files/{prefix}"

    return written


def copy(client: psycopg.Connection, place: str, options: str = OPTIONS) -> None:
    """As a simple query: what psycopg sends when there are no parameters."""
    client.execute(f"copy t from '{place}' {options}".encode())


def rows(client: psycopg.Connection) -> list[tuple[object, ...]]:
    return client.execute("select id, name from t order by id").fetchall()


def test_every_object_below_the_prefix_is_loaded(client: psycopg.Connection, put: Put) -> None:
    copy(client, put(b'1,"a ""b""\n",2026-01-01 12:00:00.5+00\n2,,\\N\n', b"3,\\N,\\N\n"))
    assert rows(client) == [(1, 'a "b"\n'), (2, ""), (3, None)]


def test_null_counts_inside_quotes_too(client: psycopg.Connection, put: Put) -> None:
    copy(client, put(b'1,"\\N",\\N\n'))
    assert rows(client) == [(1, None)]


def test_compressed_file_is_loaded_and_one_that_is_not_refused(client: psycopg.Connection, put: Put) -> None:
    copy(client, put(gzip.compress(b"1,a,\\N\n")), OPTIONS + " gzip")
    assert rows(client) == [(1, "a")]
    with pytest.raises(psycopg.Error, match="Load into table 't' failed"):
        copy(client, put(b"1,a,\\N\n"), OPTIONS + " gzip")


@pytest.mark.parametrize(
    "row", [b"x,a,\\N\n", b"1,abcdefghi,\\N\n", "1,ééééé,\\N\n".encode(), b"1,a\n", b"1,a,\\N,b\n", b'1,"a']
)
def test_bad_row_fails_the_load_and_the_transaction(client: psycopg.Connection, put: Put, row: bytes) -> None:
    with pytest.raises(psycopg.Error, match="Load into table 't' failed.  Check 'stl_load_errors'") as caught:
        copy(client, put(b"7,good,\\N\n" + row))
    assert caught.value.sqlstate == "XX000"
    assert rows(client) == []


def test_row_over_four_megabytes_is_refused(client: psycopg.Connection, put: Put) -> None:
    client.execute("create table wide (a varchar(max))")
    place = put(b"x\n" + b'"' + b"y\n" * (2 * 1024 * 1024) + b'"\n')
    with pytest.raises(psycopg.Error, match="Load into table 'wide' failed") as caught:
        client.execute(f"copy wide from '{place}' {OPTIONS}".encode())
    assert "4 MB" in str(caught.value.diag.message_detail)
    client.execute("drop table wide")


def test_missing_object_and_missing_bucket_are_errors(client: psycopg.Connection) -> None:
    with pytest.raises(psycopg.Error, match="The specified S3 prefix 'nothing' does not exist"):
        copy(client, "s3://files/nothing")
    with pytest.raises(psycopg.Error, match="S3ServiceException"):
        copy(client, "s3://no-such-bucket/x")


def test_copies_stand_among_other_statements_of_a_message(client: psycopg.Connection, put: Put) -> None:
    one, other = put(b"1,a,\\N\n"), put(b"2,b,\\N\n")
    client.execute(
        f"begin; copy t from '{one}' {OPTIONS}; insert into t values (5, 'x', null);"
        f" copy t (name, id) from '{put(b'c,3' + chr(10).encode())}' {OPTIONS}; commit".encode()
    )
    assert rows(client) == [(1, "a"), (3, "c"), (5, "x")]
    with pytest.raises(psycopg.Error, match="division by zero"):
        client.execute(f"begin; select 1/0; copy t from '{other}' {OPTIONS}; commit".encode())
    client.execute("rollback")
    copy(client, put(b"9,z,\\N\n"))  # and not what was left from the message that failed
    assert rows(client) == [(1, "a"), (3, "c"), (5, "x"), (9, "z")]


def test_stand_in_without_s3_says_so(stand_in: Running) -> None:
    with stand_in.connect(autocommit=True) as client, pytest.raises(psycopg.Error, match="has no S3"):
        client.execute("create table t (id bigint, name varchar(8), at timestamptz)")
        copy(client, "s3://files/rows")


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("copy t from stdin", "0A000"),
        ("copy t from 'dynamodb://t' iam_role default csv", "0A000"),
        ("copy t from 's3://files/x' csv", "42601"),
        ("copy t from 's3://files/x' iam_role 'me' csv", "XX000"),
        ("copy t from 's3://files/x' iam_role default", "0A000"),
        ("copy t from 's3://files/x' iam_role default json 'auto'", "0A000"),
        ("copy t from 's3://files/x' iam_role default format as parquet", "0A000"),
        ("copy t from 's3://files/x' iam_role default csv manifest", "0A000"),
        ("copy t from 's3://files/x' iam_role default csv timeformat 'YYYY'", "0A000"),
        ("copy t from 's3://files/x' iam_role default csv with (header)", "42601"),
        ("copy t from 's3://files/x' iam_role", "42601"),
        ("copy t", "42601"),
        ("copy t to 's3://files/x' iam_role default csv", "42601"),
    ],
)
def test_what_redshift_does_not_take_is_refused(sql: str, code: str) -> None:
    (statement,) = statements(sql)
    with pytest.raises(Refused) as refused:
        command_of(statement)
    assert refused.value.refusal.code == code
