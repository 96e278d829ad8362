"""The schemas `aws_commons` and `aws_lambda` of RDS for PostgreSQL, over the local Lambda service.

The embedded server carries no such extensions, so what `create extension aws_lambda cascade` would bring is
installed as plain SQL with the same signatures: the same triggers run here and on RDS.
"""

from local.aws_extensions.installer import FAULTS, Fault, inject, install, uninstall

__all__ = ["FAULTS", "Fault", "inject", "install", "uninstall"]
