"""Compares what the sinks hold with what the sources, sent through the transforms, say that they must
hold."""

from ops.comparison.difference import Compared, Difference
from ops.comparison.sinks import compare_sinks

__all__ = ["Compared", "Difference", "compare_sinks"]
