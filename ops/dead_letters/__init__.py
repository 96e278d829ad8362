"""Dead letters: found, read, replayed, discarded; and which of them a command is about."""
