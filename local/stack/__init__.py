"""The whole pipeline on one machine: what runs, in which order, where its state lies, and who watches it.

ports.py        which port every part has
state.py        the state folder: its format, its lock, what is written there
functions.py    the two Lambdas as the Lambda service runs them
databases.py    a source's database: schema, aws_lambda, triggers
parts.py        a part that is a program of this project
composition.py  the parts and how they are connected
supervisor.py   starts them, watches them, stops them
running.py      a stack from outside: start it, use it, stop it
"""

from local.stack.running import running, start_detached, stop
from local.stack.supervisor import up

__all__ = ["running", "start_detached", "stop", "up"]
