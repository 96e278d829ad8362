"""The bucket: batches too large for an event, rows on their way into Redshift, the archive of the S3 sink."""

from collections.abc import Iterator

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.acknowledgements import acknowledge
from infra.removal import without_snapshot
from infra.settings import Storage
from pgevents.config import Pipeline, S3Sink

FORWARDED = "forwarded"
"""Prefix of the batches that are handed on; `transform/sinks/forward.py` writes there."""
STAGED = "staged"
"""Prefix of the files that Redshift loads by COPY; `redshift_writer/copying.py` writes there."""
_UNFINISHED = cdk.Duration.days(1)
_OLD_VERSIONS = cdk.Duration.days(30)


def archive_prefixes(pipeline: Pipeline) -> Iterator[str]:
    """The prefix of every S3 sink."""
    for sink in pipeline.sinks_of(S3Sink).values():
        if isinstance(sink, S3Sink):
            yield sink.prefix


def pipeline_bucket(scope: Construct, storage: Storage, pipeline: Pipeline) -> s3.Bucket:
    """Encrypted, private, TLS only, versioned, with a life cycle for each kind of object."""
    bucket = s3.Bucket(
        scope,
        "Bucket",
        encryption=s3.BucketEncryption.S3_MANAGED,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        enforce_ssl=True,
        versioned=True,
        removal_policy=without_snapshot(storage.keep),
        lifecycle_rules=[
            _forwarded(storage),
            _staged(),
            *(_archive(storage, p) for p in archive_prefixes(pipeline)),
        ],
    )
    acknowledge(bucket, {"S1": "Two functions and one role reach it; CloudTrail's data events say who did."})
    return bucket


def _forwarded(storage: Storage) -> s3.LifecycleRule:
    return s3.LifecycleRule(
        id=FORWARDED,
        prefix=f"{FORWARDED}/",
        expiration=cdk.Duration.days(storage.forwarded_days),
        noncurrent_version_expiration=cdk.Duration.days(1),
        abort_incomplete_multipart_upload_after=_UNFINISHED,
    )


def _staged() -> s3.LifecycleRule:
    """Loaded a moment after it was written, and never again."""
    return s3.LifecycleRule(
        id=STAGED,
        prefix=f"{STAGED}/",
        expiration=cdk.Duration.days(1),
        noncurrent_version_expiration=cdk.Duration.days(1),
        abort_incomplete_multipart_upload_after=_UNFINISHED,
    )


def _archive(storage: Storage, prefix: str) -> s3.LifecycleRule:
    return s3.LifecycleRule(
        id=prefix,
        prefix=f"{prefix}/",
        noncurrent_version_expiration=_OLD_VERSIONS,
        abort_incomplete_multipart_upload_after=_UNFINISHED,
        transitions=[
            s3.Transition(
                storage_class=s3.StorageClass.INFREQUENT_ACCESS,
                transition_after=cdk.Duration.days(storage.archive_infrequent_days),
            ),
            s3.Transition(
                storage_class=s3.StorageClass.GLACIER_INSTANT_RETRIEVAL,
                transition_after=cdk.Duration.days(storage.archive_glacier_days),
            ),
        ],
    )
