"""How far a source's events have come, and what of it wants attention."""
