"""What the attack relies on: a disk that is really full, an S3 that really refuses, a bucket read as S3 lists it."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bench.faults import full_disk
from bench.faults.bucket import BucketOnDisk
from local.emulator import Emulator
from local.emulator_faults import EmulatorControl, EmulatorFault, EmulatorFaultReport
from local.postgres import PostgresServer, free_port


@pytest.fixture
def sink(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with a sink's table of tokens."""
    postgres_server.create_database("full")
    dsn = postgres_server.dsn("full")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create table pgevents_applied_batch (batch_id bigint)")
    yield dsn
    postgres_server.drop_database("full")


def test_a_batch_meets_the_servers_own_error_of_a_full_disk_until_there_is_room(
    sink: str, postgres_server: PostgresServer
) -> None:
    with psycopg.connect(sink, autocommit=True) as connection:
        full_disk.fill(sink, postgres_server.data)
        with pytest.raises(psycopg.errors.DiskFull, match="No space left on device"):
            connection.execute("insert into pgevents_applied_batch values (1)")
        assert full_disk.refusals(postgres_server.log) == 1
        full_disk.make_room(sink)
        connection.execute("insert into pgevents_applied_batch values (1)")
        assert connection.execute("select count(*) from pgevents_applied_batch").fetchone() == (1,)


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    """One that runs, with a bucket."""
    emulator = Emulator(tmp_path / "the emulator", free_port())
    emulator.start()
    try:
        emulator.create_bucket("bucket")
        yield emulator
    finally:
        emulator.stop()


def test_the_emulator_refuses_as_often_as_it_was_told_to(emulator: Emulator) -> None:
    control = EmulatorControl(emulator.url)
    control.fault(EmulatorFault(method="PUT", contains="/bucket/", count=2, status=503))
    s3 = emulator.session.client("s3", endpoint_url=emulator.url)
    for _ in range(2):
        request = urllib.request.Request(f"{emulator.url}/bucket/key", b"body", method="PUT")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        refused.value.close()
        assert refused.value.code == 503
    s3.put_object(Bucket="bucket", Key="a/key", Body=b"body")
    assert control.report() == EmulatorFaultReport(struck=2, waiting=0)
    control.clear()
    assert control.report() == EmulatorFaultReport(struck=0, waiting=0)
    _the_disk_says_what_s3_says(emulator, s3)


def test_the_emulator_tells_of_a_request_that_its_caller_has_given_up(emulator: Emulator) -> None:
    control = EmulatorControl(emulator.url)
    control.fault(EmulatorFault(method="PUT", seconds=1.0, status=0))
    request = urllib.request.Request(f"{emulator.url}/bucket/key", b"body", method="PUT")
    with pytest.raises(TimeoutError):
        urllib.request.urlopen(request, timeout=0.2)
    control.clear()
    assert control.report().waiting == 1
    while control.report().waiting:
        time.sleep(0.02)
    s3 = emulator.session.client("s3", endpoint_url=emulator.url)
    assert s3.get_object(Bucket="bucket", Key="key")["Body"].read() == b"body"


def _the_disk_says_what_s3_says(emulator: Emulator, s3: object) -> None:
    for key in ("a/b=1/one", "a/b=1/two", "ab/three", "c"):
        s3.put_object(Bucket="bucket", Key=key, Body=key.encode())  # type: ignore[attr-defined]
    on_disk = BucketOnDisk(emulator.folder / "s3" / "000000000000")
    for prefix in ("", "a", "a/", "a/b=1/t", "none/"):
        listed = s3.list_objects_v2(Bucket="bucket", Prefix=prefix).get("Contents", [])  # type: ignore[attr-defined]
        [page] = on_disk.paginate("bucket", prefix)
        assert [found["Key"] for found in page["Contents"]] == [found["Key"] for found in listed]
    assert on_disk.get_object("bucket", "ab/three")["Body"].read() == b"ab/three"
