"""A stand-in for Amazon Redshift on the wire, in front of a plain PostgreSQL."""

from local.redshift.control import Controller, Counters
from local.redshift.faults import Fault
from local.redshift.server import Configuration, RedshiftStandIn, running

__all__ = ["Configuration", "Controller", "Counters", "Fault", "RedshiftStandIn", "running"]
