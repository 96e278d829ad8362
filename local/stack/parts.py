"""A part of the stack that is a program of this project."""

import sys
from collections.abc import Mapping
from pathlib import Path

from local.programs import Program, environment


class ModuleProgram(Program):
    """A module of this project that runs as a program, and says a word in its log when it is ready."""

    def __init__(
        self,
        name: str,
        module: str,
        arguments: list[str],
        log: Path,
        ready: str,
        variables: Mapping[str, str],
    ) -> None:
        command = [sys.executable, "-m", module, *arguments]
        super().__init__(name, command, log, environment=environment(**variables), grace=15.0)
        self._ready = ready

    def is_ready(self) -> bool:
        """Whether it has said so since its launch."""
        return self._ready in self.said()
