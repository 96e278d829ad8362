"""The emulator keeps what it was given, whatever ends it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.emulator import Emulator
from local.postgres import free_port


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path / "a folder", free_port())
    emulator.start()
    yield emulator
    emulator.stop()


def client(emulator: Emulator, service: str) -> Any:
    return emulator.session.client(service, endpoint_url=emulator.url)


def test_objects_messages_and_secrets_survive_a_kill(emulator: Emulator) -> None:
    emulator.create_bucket("events")
    emulator.create_queue("dead-letters")
    emulator.put_secret("accounts", {"username": "u", "password": "old"})
    emulator.put_secret("accounts", {"username": "u", "password": "new"})
    body = bytes(range(256)) * 1000
    s3, sqs = client(emulator, "s3"), client(emulator, "sqs")
    s3.put_object(Bucket="events", Key="a b/ü.gz", Body=body, ContentEncoding="gzip")
    s3.put_object(Bucket="events", Key="gone", Body=b"x")
    s3.delete_object(Bucket="events", Key="gone")
    queue = sqs.get_queue_url(QueueName="dead-letters")["QueueUrl"]
    for number in range(3):
        sqs.send_message(QueueUrl=queue, MessageBody=f"letter {number}")
    emulator.kill()
    emulator.start()
    emulator.create_bucket("events")
    emulator.create_queue("dead-letters")
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="events")["Contents"]] == ["a b/ü.gz"]
    kept = s3.get_object(Bucket="events", Key="a b/ü.gz")
    assert (kept["Body"].read(), kept["ContentEncoding"]) == (body, "gzip")
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert sorted(message["Body"] for message in messages) == ["letter 0", "letter 1", "letter 2"]
    secret = client(emulator, "secretsmanager").get_secret_value(SecretId="accounts")
    assert json.loads(secret["SecretString"]) == {"username": "u", "password": "new"}


def test_what_was_deleted_stays_deleted_after_a_clean_stop_and_a_kill(emulator: Emulator) -> None:
    emulator.create_bucket("events")
    s3 = client(emulator, "s3")
    s3.put_object(Bucket="events", Key="first", Body=b"1")
    s3.put_object(Bucket="events", Key="second", Body=b"2")
    emulator.stop()
    emulator.start()
    s3.delete_object(Bucket="events", Key="first")
    emulator.kill()
    emulator.start()
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="events")["Contents"]] == ["second"]


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's table of sockets")
def test_listens_on_loopback_only(emulator: Emulator) -> None:
    emulator.create_bucket("events")
    files = [str(entry.readlink()) for entry in Path(f"/proc/{emulator.pid}/fd").iterdir()]
    inodes = {name.removeprefix("socket:[").removesuffix("]") for name in files}
    tables = [Path("/proc/net") / name for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    listening, loopback = "0A", "0100007F"
    addresses = {row[1].split(":")[0] for row in rows if row[3] == listening and row[9] in inodes}
    assert addresses == {loopback}
