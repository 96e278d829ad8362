"""`python -S -P import_handler.py HANDLER REPORT`: import a handler and write how that went.

Besides the handler it imports every module of the `transforms` package beside it: those are the user's, and a
handler may load them only with its first event. It runs on a package's path: the standard library only.
"""

import importlib
import json
import os
import pkgutil
import sys
import traceback
from pathlib import Path
from typing import Any


def main() -> None:
    """Write the report, unless the import ends the process."""
    handler, report = sys.argv[1:]
    failure = None
    try:
        load(handler)
    except (Exception, SystemExit) as error:
        failure = describe(error)
    found = {"failure": failure, "transforms": registered()}
    Path(report).write_text(json.dumps(found), encoding="utf-8")
    # Threads that a module started must not keep this process.
    sys.stdout.flush()
    os._exit(0)


def load(handler: str) -> None:
    """Import what the function imports. Raises whatever the modules raise."""
    module, _, function = handler.rpartition(".")
    getattr(importlib.import_module(module), function)
    package = f"{module.rpartition('.')[0]}.transforms"
    try:
        transforms = importlib.import_module(package)
    except ModuleNotFoundError as missing:
        if missing.name == package:
            return
        raise
    for found in pkgutil.iter_modules(transforms.__path__, f"{package}."):
        importlib.import_module(found.name)


def registered() -> list[tuple[str, str]]:
    """The tables that the imported transforms are registered for, and which functions they are."""
    transforms = sys.modules.get("pgevents.transforms")
    return transforms.registered() if transforms else []


def describe(error: BaseException) -> dict[str, Any]:
    """The error and where in the package it comes from. An InputError says both itself."""
    if any(kind.__name__ == "InputError" for kind in type(error).__mro__):
        return {"error": str(error)}
    text = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"
    if isinstance(error, SyntaxError) and error.filename:
        return {"error": text, "file": error.filename, "line": error.lineno}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if own(frame.filename)]
    if not frames:
        return {"error": text}
    return {"error": text, "file": frames[-1].filename, "line": frames[-1].lineno}


def own(file: str) -> bool:
    """Whether a file is the package's own code and not that of a dependency."""
    root = os.environ["LAMBDA_TASK_ROOT"]
    if not file.startswith(root + os.sep):
        return False
    top = Path(file).relative_to(root).parts[0]
    return top in {"pgevents", sys.argv[1].partition(".")[0]}


if __name__ == "__main__":
    main()
