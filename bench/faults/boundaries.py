"""Where the steps of both Lambdas begin and end: the one table that binds the attacks to the code's names.

A name that the code no longer has is an error of the run, and tests/faults looks every one of them up.
"""

from typing import Literal, NamedTuple

Function = Literal["transform", "writer"]


class Boundary(NamedTuple):
    """A step: the function that runs it, and where the code that calls it looks it up."""

    function: Function
    target: str


BOUNDARIES = {
    # The drain, in the order of its steps.
    "lock": Boundary("transform", "transform.source.outbox:Outbox.try_lock"),
    "opening batches": Boundary("transform", "transform.source.outbox:Outbox.open_batches"),
    "delivering a batch": Boundary("transform", "transform.delivery:Delivery.take"),
    "reading a batch": Boundary("transform", "transform.source.outbox:Outbox.read"),
    "routing": Boundary("transform", "transform.delivery:route_batch"),
    "PostgreSQL sink": Boundary("transform", "transform.sinks.postgres:PostgresSink.apply"),
    "PostgreSQL sink's token": Boundary("transform", "transform.sinks.postgres:PostgresSink._claim"),
    "PostgreSQL sink's rows": Boundary("transform", "transform.sinks.postgres:PostgresSink._write"),
    "S3 sink": Boundary("transform", "transform.sinks.s3:S3Sink.put"),
    "forwarding": Boundary("transform", "transform.sinks.forward:Forwarder.forward"),
    "noting as forwarded": Boundary("transform", "transform.source.outbox:Outbox.mark_forwarded"),
    "rotation": Boundary("transform", "transform.source.outbox:Outbox.rotate"),
    "unlock": Boundary("transform", "transform.source.outbox:Outbox.unlock"),
    "last look": Boundary("transform", "transform.source.outbox:Outbox.wait_for_commits"),
    # The invocation that acknowledges.
    "acknowledging": Boundary("transform", "transform.source.outbox:Outbox.mark_applied"),
    # The writer.
    "taking a batch": Boundary("writer", "redshift_writer.handler:RedshiftWriter.apply"),
    "connecting": Boundary("writer", "redshift_writer.connect:Sessions.get"),
    "opening the transaction": Boundary("writer", "redshift_writer.writer:open_transaction"),
    "staging": Boundary("writer", "redshift_writer.writer:Writer._stage"),
    "merge and commit": Boundary("writer", "redshift_writer.writer:Writer._write"),
}
OF_SHARDS = {
    "looking for shards": Boundary("transform", "transform.shards:Shards.wake"),
    "taking a shard's lock": Boundary("transform", "transform.source.outbox:Outbox.try_shard_lock"),
    "letting go of a shard's lock": Boundary("transform", "transform.source.outbox:Outbox.unlock_shard"),
}
"""Of a source in shards alone."""
LOADING_A_FILE = Boundary("writer", "redshift_writer.copying:Copier.copy")
"""Within staging, for a batch that is large enough for COPY."""
