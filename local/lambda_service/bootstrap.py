"""What an execution environment starts: `python -S -P bootstrap.py PARENT_PID HANDLER`.

Ties the process to the service's life, then hands over to AWS's runtime client. It runs with the package
and the runtime folder on its path and nothing else, so it may import the standard library only.
"""

import ctypes
import importlib.util
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent ends, however it ends.

    Done here and not between fork and exec: the service has threads, and Python code in a forked copy of a
    process with threads may wait for a lock that nobody holds any more. The parent may have ended before
    the call, hence the second look. Elsewhere than on Linux the runtime client ends by itself when the
    Runtime API no longer answers.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def let_strike(folder: str) -> None:
    """Have the runtime client call a handler that looks at the strikes that were ordered."""
    import awslambdaric.bootstrap as runtime  # type: ignore[import-untyped,unused-ignore]

    beside = os.path.join(os.path.dirname(__file__), "striking.py")  # noqa: PTH118, PTH120
    spec = importlib.util.spec_from_file_location("local_striking", beside)
    striking = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(striking)  # type: ignore[union-attr]
    find = runtime._get_handler
    runtime._get_handler = lambda name: striking.struck_handler(find(name), folder)


def main() -> None:
    """Serve invocations of the handler until killed."""
    parent, handler = int(sys.argv[1]), sys.argv[2]
    die_with(parent)
    if folder := os.environ.pop("LOCAL_STRIKES", ""):
        let_strike(folder)
    from awslambdaric.__main__ import main as serve  # type: ignore[import-untyped,unused-ignore]

    serve(["bootstrap", handler])


if __name__ == "__main__":
    main()
