"""A real PostgreSQL server of one's own, from a PyPI package: nothing installed, no system user."""

from local.postgres.server import SUPERUSER, PostgresServer, free_port, refuse_used_port

__all__ = ["SUPERUSER", "PostgresServer", "free_port", "refuse_used_port"]
