"""`python -m local.lambda_service CONFIG.json`: the service as a process of its own.

Prints one line when it is ready. Ends with 0 on SIGTERM or SIGINT, with 2 and one line on stderr when the
configuration is wrong or the port is in use.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from local.lambda_service.configuration import ServiceConfiguration, load
from local.lambda_service.service import Extension, LambdaService
from pgevents.errors import InputError


async def serve(configuration: ServiceConfiguration, extensions: Sequence[Extension] = ()) -> None:
    """Run the service until this process is told to end."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    service = LambdaService(configuration, extensions)
    await service.start()
    print(f"lambda service ready on {service.url}", flush=True)
    await ended.wait()
    await service.stop()


def forget_aws() -> None:
    """Drop what the environment says of AWS: a profile of the caller's must not decide where messages go."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]


def main(arguments: Sequence[str]) -> int:
    """The exit code of the command."""
    forget_aws()
    try:
        if len(arguments) != 1:
            raise InputError("usage: python -m local.lambda_service CONFIG.json")
        asyncio.run(serve(load(Path(arguments[0]))))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
