"""What becomes of a resource that holds something when its stack goes, or its first deployment fails."""

import aws_cdk as cdk

from infra.settings import Keep

# Not RETAIN: it would keep what a deployment made that is then rolled back, and where that has a fixed name,
# the next deployment would fail to make it again.
KEPT = cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE

POLICIES: dict[Keep, cdk.RemovalPolicy] = {
    "retain": KEPT,
    "snapshot": cdk.RemovalPolicy.SNAPSHOT,
    "destroy": cdk.RemovalPolicy.DESTROY,
}
"""Of a database."""


def without_snapshot(keep: Keep) -> cdk.RemovalPolicy:
    """Of what no snapshot can be taken of: kept unless it may be destroyed."""
    return cdk.RemovalPolicy.DESTROY if keep == "destroy" else KEPT
