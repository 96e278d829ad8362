"""Child processes that end with their parent, whatever ends it."""

from local.programs.environment import environment
from local.programs.identity import OWN, Identity
from local.programs.program import Program, ProgramFailed

__all__ = ["OWN", "Identity", "Program", "ProgramFailed", "environment"]
