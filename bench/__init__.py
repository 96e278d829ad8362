"""Benches: `./pgevents bench NAME` runs the module or package NAME of this folder."""
