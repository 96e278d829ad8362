"""Compares what the sinks hold with what the sources, sent through the transforms, say that they must hold."""
