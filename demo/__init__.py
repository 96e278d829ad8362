"""The demo: the history of the Mozilla root store, replayed as ordinary SQL on the two source databases."""
