"""`python -m local.redshift CONFIG.json`: runs the stand-in until SIGTERM or SIGINT."""

import asyncio
import signal
import sys
from pathlib import Path

import msgspec

from local.redshift.server import HOST, Configuration, running
from pgevents.errors import InputError


def main(arguments: list[str]) -> int:
    """0 after a signal, 2 with one line on stderr for wrong input."""
    try:
        asyncio.run(_serve(_configuration(arguments)))
    except InputError as error:
        print(f"redshift stand-in: {error}", file=sys.stderr)
        return 2
    return 0


def _configuration(arguments: list[str]) -> Configuration:
    if len(arguments) != 1:
        raise InputError("usage: python -m local.redshift CONFIG.json")
    path = Path(arguments[0])
    try:
        return msgspec.json.decode(path.read_bytes(), type=Configuration)
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(f"{path}: {error}") from error


async def _serve(configuration: Configuration) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(configuration):
        control = f", control on {configuration.control_port}" if configuration.control_port else ""
        print(f"redshift stand-in ready on {HOST}:{configuration.listen_port}{control}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
