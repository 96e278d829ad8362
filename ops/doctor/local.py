"""What only a pipeline on this machine has."""

import socket
from urllib.parse import SplitResult

from ops.doctor.finding import Finding, error, ok

_SECONDS = 2.0


def service_finding(url: SplitResult) -> Finding:
    """Whether the Lambda service answers at its address."""
    address = (url.hostname or "127.0.0.1", url.port or 80)
    try:
        with socket.create_connection(address, timeout=_SECONDS):
            return ok("Lambda service", f"answers on port {address[1]}")
    except OSError as failure:
        what = f"does not answer on port {address[1]}: {failure.strerror or failure}"
        return error("Lambda service", what, "./pgevents down, then ./pgevents up")
