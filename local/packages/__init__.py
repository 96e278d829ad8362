"""Lambda packages on this machine: those of `lambda_packages`, and whether a handler imports from one."""

from lambda_packages import HOST, LAMBDA_ARM, Lambda, Target, assemble, build, prepare, runtime
from local.packages.check import check_import

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
