"""The archive in an S3 that answers: what lies where, and that all of it can be read again."""

import gzip
import json
import random
from collections import Counter
from typing import Any

import msgspec
import pytest

from pgevents.batch import Batch, Column, Values
from pgevents.errors import InputError, TransientError
from pgevents.refusals import RefusedChanges
from tests.integration.transform.sinks.batches import batch, delete, insert, table, traffic, truncate, windows
from transform.sinks.s3 import S3Sink
from transform.sinks.s3_archive import read_archive

COLUMNS = (Column("id", "bigint"), Column("name", "text"))
NUMBERS: list[Values] = [(str(number),) for number in range(5)]


def body_of(s3: Any, bucket: str, key: str) -> bytes:
    found: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return found


def lines_of(s3: Any, bucket: str, key: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(body_of(s3, bucket, key)).splitlines()]


def all_objects(s3: Any, bucket: str) -> dict[str, bytes]:
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return {key: body_of(s3, bucket, key) for key in keys}


def test_each_target_has_an_object_in_the_hour_of_the_batch(s3: Any, bucket: str) -> None:
    one = batch(
        table([insert(1, "1", "Ada"), delete(2, "2", None), truncate(3)]),
        table([insert(4, "9", "x")], target="holder"),
        batch_id=42,
        epoch=3,
    )
    keys = S3Sink(s3, bucket, "archive").write(one)

    where = "date=2026-11-22/hour=15/accounts-3-000000000042-20261122T150405000000Z.json.gz"
    assert keys == [f"archive/account/{where}", f"archive/holder/{where}"]
    assert lines_of(s3, bucket, keys[0]) == [
        {"id": 1, "name": "Ada", "_clause": "INSERT", "_version": 1, "_source": "accounts"},
        {"id": 2, "_clause": "DELETE", "_version": 2, "_source": "accounts"},
        {"_clause": "DELETE", "_version": 3, "_source": "accounts"},
    ]


def test_hour_is_that_of_utc(s3: Any, bucket: str) -> None:
    late = Batch("accounts", 1, 0, "2026-11-22T23:30:00.123456-02:00", [table([insert(1, "1", "x")])])
    assert "/date=2026-11-23/hour=01/" in S3Sink(s3, bucket, "archive").write(late)[0]


def test_batch_written_again_leaves_the_same_bytes_under_the_same_names(s3: Any, bucket: str) -> None:
    one = batch(
        table([insert(n, str(n), "x" * n) for n in range(1, 200)]), table([truncate(200)], target="b")
    )
    sink = S3Sink(s3, bucket, "archive", object_bytes=4096)
    first = sink.write(one)
    before = all_objects(s3, bucket)
    assert sink.write(one) == first
    assert all_objects(s3, bucket) == before
    assert sorted(before) == sorted(first)


def test_restored_source_overwrites_nothing_of_what_it_has_forgotten(s3: Any, bucket: str) -> None:
    """It gives the same number to another batch, perhaps in the same hour."""
    lost = batch(table([insert(1, "1", "lost")]), batch_id=7)
    after = msgspec.structs.replace(
        batch(table([insert(1, "1", "restored")]), batch_id=7), opened_at="2026-11-22T15:04:05.000001Z"
    )
    sink = S3Sink(s3, bucket, "archive")
    [first], [second] = sink.write(lost), sink.write(after)
    assert lines_of(s3, bucket, first)[0]["name"] == "lost"
    assert lines_of(s3, bucket, second)[0]["name"] == "restored"


def test_large_target_is_cut_into_objects_of_limited_size(s3: Any, bucket: str) -> None:
    changes = [insert(n, str(n), "x" * 100) for n in range(1, 101)]
    keys = S3Sink(s3, bucket, "", object_bytes=2000).write(batch(table(changes)))

    assert keys[:2] == [
        "account/date=2026-11-22/hour=15/accounts-0-000000000001-20261122T150405000000Z.json.gz",
        "account/date=2026-11-22/hour=15/accounts-0-000000000001-20261122T150405000000Z-2.json.gz",
    ]
    sizes = [len(gzip.decompress(body_of(s3, bucket, key))) for key in keys]
    assert max(sizes) <= 2000
    assert min(sizes[:-1]) > 1500
    assert [line["_version"] for key in keys for line in lines_of(s3, bucket, key)] == list(range(1, 101))


def test_line_over_the_limit_has_an_object_of_its_own(s3: Any, bucket: str) -> None:
    changes = [insert(1, "1", "a"), insert(2, "2", "b" * 5000), insert(3, "3", "c")]
    keys = S3Sink(s3, bucket, "archive", object_bytes=1000).write(batch(table(changes)))
    assert [len(lines_of(s3, bucket, key)) for key in keys] == [1, 1, 1]


def test_target_twice_in_a_batch_overwrites_nothing(s3: Any, bucket: str) -> None:
    """A table that was altered within a window comes in two parts, with different columns."""
    parts = (
        table([insert(1, "1", "x")]),
        table([insert(3, "8", "z")], target="holder"),
        table([insert(2, "1", "y", "9")], "id bigint, name text, rank integer"),
    )
    keys = S3Sink(s3, bucket, "archive").write(batch(*parts))
    assert len(keys) == 2
    assert [line["_version"] for line in lines_of(s3, bucket, keys[0])] == [1, 2]
    assert [line.get("rank") for line in lines_of(s3, bucket, keys[0])] == [None, 9]


def test_target_without_changes_has_no_object(s3: Any, bucket: str) -> None:
    assert S3Sink(s3, bucket, "archive").write(batch(table([]))) == []


@pytest.mark.parametrize("target", ["a b", "a/b", "ü", "a=b", "100%", "a.b"])
def test_any_target_can_be_written_and_read(s3: Any, bucket: str, target: str) -> None:
    key = S3Sink(s3, bucket, "/deep/archive/").write(batch(table([insert(1, "1", "x")], target=target)))[0]
    assert key.startswith("deep/archive/")
    assert key.count("/") == 5
    assert list(read_archive(s3, bucket, "deep/archive", target, COLUMNS)) == [insert(1, "1", "x")]


@pytest.mark.parametrize("seed", range(2))
def test_everything_that_was_written_is_read_back_once(s3: Any, bucket: str, seed: int) -> None:
    chance = random.Random(seed)
    changes = traffic(chance, NUMBERS, 100)
    arrivals = list(enumerate(windows(chance, changes), 1))
    arrivals += chance.choices(arrivals, k=10)
    chance.shuffle(arrivals)
    sink = S3Sink(s3, bucket, "archive", object_bytes=300)
    for number, part in arrivals:
        sink.write(batch(table(part), batch_id=number))

    found = list(read_archive(s3, bucket, "archive", "account", COLUMNS))
    assert Counter(map(repr, found)) == Counter(map(repr, changes))


def test_similar_targets_are_kept_apart(s3: Any, bucket: str) -> None:
    sink = S3Sink(s3, bucket, "archive")
    sink.write(batch(table([insert(1, "1", "x")]), table([insert(2, "2", "y")], target="account_2")))
    assert list(read_archive(s3, bucket, "archive", "account", COLUMNS)) == [insert(1, "1", "x")]


def test_more_objects_than_a_page_has_are_read(s3: Any, bucket: str) -> None:
    sink = S3Sink(s3, bucket, "archive")
    for number in range(1, 8):
        sink.write(batch(table([insert(number, "1", "x")]), batch_id=number))
    s3.meta.events.register(
        "before-parameter-build.s3.ListObjectsV2", lambda params, **_: params.update(MaxKeys=2)
    )
    assert [change.version for change in read_archive(s3, bucket, "archive", "account", COLUMNS)] == [
        *range(1, 8)
    ]


@pytest.mark.parametrize(
    "body", [b"no gzip", gzip.compress(b"{}\n"), gzip.compress(b'{"_clause": "INSERT"')[:-9]]
)
def test_object_of_somebody_else_is_named(s3: Any, bucket: str, body: bytes) -> None:
    s3.put_object(Bucket=bucket, Key="archive/account/stray", Body=body)
    with pytest.raises(InputError, match=f"s3://{bucket}/archive/account/stray: "):
        list(read_archive(s3, bucket, "archive", "account", COLUMNS))


def test_text_that_json_cannot_hold_is_refused_with_its_key(s3: Any, bucket: str) -> None:
    with pytest.raises(RefusedChanges) as raised:
        S3Sink(s3, bucket, "archive").write(batch(table([insert(1, "1", "x"), insert(2, "2", "\ud800")])))
    assert [(found.key, found.version) for found in raised.value.refusals] == [({"id": "2"}, 2)]


def test_column_with_a_name_of_the_archives_own_is_refused_with_advice(s3: Any, bucket: str) -> None:
    with pytest.raises(TransientError, match="has a column _source, a name the archive keeps for itself"):
        S3Sink(s3, bucket, "archive").write(batch(table([insert(1, "1", "x")], "id bigint, _source text")))


def test_bucket_that_is_not_there_is_named_with_advice(s3: Any) -> None:
    with pytest.raises(TransientError, match="could not write s3://nowhere/.*NoSuchBucket.*deploy"):
        S3Sink(s3, "nowhere", "archive").write(batch(table([insert(1, "1", "x")])))
    with pytest.raises(TransientError, match="could not list s3://nowhere/archive/account/"):
        list(read_archive(s3, "nowhere", "archive", "account", COLUMNS))
