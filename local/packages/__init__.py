"""Lambda packages: the folders that functions run from, here and on AWS.

layer.py      the dependencies of a lock, installed once and kept
assembly.py   a package: dependencies, the project's code, pipeline.toml
check.py      whether a package's handler imports
"""

from local.packages.assembly import Lambda, assemble, build, prepare, runtime
from local.packages.check import check_import
from local.packages.layer import HOST, LAMBDA_ARM, Target

__all__ = [
    "HOST",
    "LAMBDA_ARM",
    "Lambda",
    "Target",
    "assemble",
    "build",
    "check_import",
    "prepare",
    "runtime",
]
