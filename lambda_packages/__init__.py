"""Lambda packages: the folders that functions run from, made without Docker, for this machine and for AWS.

layer.py      the dependencies of a lock, installed once and kept
assembly.py   a package: dependencies, the project's code, pipeline.toml
"""

from lambda_packages.assembly import Lambda, assemble, build, fingerprint, prepare, runtime
from lambda_packages.layer import HOST, LAMBDA_ARM, Target

__all__ = [
    "HOST",
    "LAMBDA_ARM",
    "Lambda",
    "Target",
    "assemble",
    "build",
    "fingerprint",
    "prepare",
    "runtime",
]
