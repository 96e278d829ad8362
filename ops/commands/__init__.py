"""One module a command: adding a file here is all that a new command takes.

A module has `SUMMARY` (one line, a plain string), `arguments(parser)` and `run(args) -> exit code`. One
that needs the tools of requirements-dev.lock says so with the line `REQUIREMENTS = "dev"`; all others run
with requirements.lock alone. Both are read from the text, so that help and the launcher need not import
what is not installed yet.
"""
