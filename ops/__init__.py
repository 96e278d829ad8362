"""The operator's side: the command line, and one module a command in `commands/`."""
