"""The relay of the `notify` doorbell: listens in a source database and invokes the transform Lambda.

Run it wherever a small process can stay connected to the database, not through an RDS Proxy (LISTEN does not
pass it), in the project's folder:

    PYTHONPATH=.:lambdas/core .venv/bin/python -m ops.relay --source accounts --dsn DSN \
        --function pgevents-dev-transform
"""

import argparse
import json
import sys
import time
from collections.abc import Callable

import boto3
import psycopg

from pgevents import log

CHANNEL = "pgevents_doorbell"
_RECONNECT_SECONDS = 1.0
_IDLE_SECONDS = 30.0


def relay(dsn: str, wake: Callable[[], None]) -> None:
    """Wakes once for every ring, or for several that came together, until the connection fails."""
    with psycopg.connect(dsn, autocommit=True, application_name="pgevents relay") as connection:
        connection.execute(f"listen {CHANNEL}")
        # A ring may have gone unheard before this moment.
        wake()
        while True:
            if _heard(connection):
                wake()


def _heard(connection: psycopg.Connection) -> bool:
    return sum(1 for _ in connection.notifies(timeout=_IDLE_SECONDS, stop_after=1)) > 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ops.relay", description="Relays a source's doorbell to Lambda."
    )
    parser.add_argument("--source", required=True, help="the source's name in pipeline.toml")
    parser.add_argument("--dsn", required=True, help="the source database")
    parser.add_argument("--function", required=True, help="the transform Lambda's name or ARN")
    return parser.parse_args()


def main() -> int:
    """Relays until it is ended; connects again when the connection is lost."""
    arguments = _arguments()
    client = boto3.client("lambda")
    event = json.dumps({"kind": "doorbell", "source": arguments.source})

    def wake() -> None:
        answer = client.invoke(FunctionName=arguments.function, InvocationType="Event", Payload=event)
        # Empty, and read all the same: only then does the next call go over this connection.
        answer["Payload"].read()

    while True:
        try:
            relay(arguments.dsn, wake)
        except (psycopg.OperationalError, client.exceptions.ClientError, OSError) as error:
            log.warning("the relay lost its connection", source=arguments.source, error=str(error))
            time.sleep(_RECONNECT_SECONDS)
        except KeyboardInterrupt:
            return 0


if __name__ == "__main__":
    sys.exit(main())
