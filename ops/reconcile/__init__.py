"""Proves that every sink holds what the sources say, or names the keys that differ and sends them again."""
