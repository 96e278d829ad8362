"""A real PostgreSQL server of one's own, from a PyPI package: nothing installed, no system user."""

from local.postgres.ports import free_port, free_ports, refuse_used_port
from local.postgres.server import SUPERUSER, PostgresServer

__all__ = ["SUPERUSER", "PostgresServer", "free_port", "free_ports", "refuse_used_port"]
