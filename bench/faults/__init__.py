"""Faults that strike a running pipeline, the traffic beside them, and the verdict afterwards."""
