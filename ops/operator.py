"""Who is at the command line, for the ledger."""

import getpass
import os


def operator() -> str:
    """The user's name, or number where it has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
