"""`./pgevents replay`: sends dead letters again, when what they died of is mended."""

import argparse
import json
import sys
import time
from pathlib import Path

from ops.dead_letters import choice, letters
from ops.endpoints import DEFAULT_STATE, connect, read_endpoints, state_option
from ops.operator import operator
from ops.status.attention import attention
from pgevents.config import Drain
from pgevents.errors import InputError

SUMMARY = "Send dead letters again"

_BATCH_EVENTS = Drain().batch_events
_POLL_SECONDS = 0.2


def arguments(parser: argparse.ArgumentParser) -> None:
    choice.arguments(parser)
    parser.add_argument("--id", action="append", default=[], metavar="SOURCE/NUMBER", help="this letter")
    parser.add_argument("--all", action="store_true", help="all that wait")
    parser.add_argument("--dry-run", action="store_true", help="say what would be sent, and send nothing")
    parser.add_argument("--reason", default="", help="why, for those who ask later")
    parser.add_argument("--no-wait", action="store_true", help="do not wait until it is done")
    parser.add_argument("--timeout", type=float, default=300.0, metavar="SECONDS", help="wait so long (300)")
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="the pipeline's state folder")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    if not (args.all or args.id or choice.selects_something(args)):
        raise InputError("replay what? give --id, --key, --table, --since, --until, or --all")
    sources = read_endpoints(args.state).sources
    chosen = choice.selections(args, args.id, sources)
    sent = {source: _send(args, source, sources[source], which) for source, which in chosen.items()}
    if not any(each.letters for each in sent.values()):
        raise InputError(
            f"no dead letter that waits fits; ./pgevents dead-letters list{state_option(args.state)} shows"
            " them. Those older than 28 days are not sent again: discard them and reconcile their table"
        )
    sent = {source: each for source, each in sent.items() if each.letters}
    if not args.json:
        for source, each in sent.items():
            print(_sentence(source, each, args.dry_run))
    if args.dry_run or args.no_wait:
        if args.json:
            print(json.dumps({source: {"sent": len(each.letters)} for source, each in sent.items()}))
        return 0
    return _report(args, _waited(args, sources, sent))


def _send(args: argparse.Namespace, source: str, dsn: str, which: letters.Selection) -> letters.Sent:
    with connect(source, dsn) as connection:
        asked = letters.waiting(connection, which)
        if not asked:
            return letters.Sent((), 0, ())
        by = operator()
        sent = letters.replay(connection, asked, _BATCH_EVENTS, by, args.reason, args.dry_run)
        if not args.dry_run:
            letters.wake(connection)
            if any(pause.what == "source" for pause in attention(connection).paused):
                resume = f"./pgevents resume {source}{state_option(args.state)}"
                print(f"{source} is paused: nothing is sent until {resume}", file=sys.stderr)
        return sent


def _sentence(source: str, sent: letters.Sent, dry_run: bool) -> str:
    also = len(sent.letters) - sent.asked_for
    of_same_rows = f", {also:,} of them because they are of the same rows" if also else ""
    verb = "would be sent" if dry_run else "are sent"
    events = "event" if len(sent.letters) == 1 else "events"
    return f"{source}: {len(sent.letters):,} {events} {verb} again{of_same_rows}"


def _waited(
    args: argparse.Namespace, sources: dict[str, str], sent: dict[str, letters.Sent]
) -> dict[str, letters.Progress]:
    """How far each replay has come when all are done, wait for a sink, or the time is up."""
    until = time.monotonic() + args.timeout
    connections = {source: connect(source, sources[source]) for source in sent}
    try:
        while True:
            come = {source: letters.progress(connections[source], each) for source, each in sent.items()}
            if all(not each.unfinished or each.held_for for each in come.values()):
                return come
            if time.monotonic() > until:
                return come
            time.sleep(_POLL_SECONDS)
    finally:
        for connection in connections.values():
            connection.close()


def _report(args: argparse.Namespace, come: dict[str, letters.Progress]) -> int:
    if args.json:
        builtins = {
            source: {
                "replayed": each.replayed, "died_again": each.died, "error": each.error,
                "unfinished_batches": each.unfinished, "held_for": each.held_for,
            }
            for source, each in come.items()
        }  # fmt: skip
        print(json.dumps(builtins))
    for source, each in come.items():
        if not args.json:
            print(f"{source}: {each.replayed:,} replayed")
        if each.died:
            print(f"{source}: {each.died:,} died again: {each.error}", file=sys.stderr)
        if each.unfinished:
            behind = f"wait for {', '.join(each.held_for)}" if each.held_for else "are not applied yet"
            status = f"./pgevents status{state_option(args.state)}"
            print(f"{source}: {each.unfinished:,} batches {behind}; {status}", file=sys.stderr)
    return 1 if any(each.died or each.unfinished for each in come.values()) else 0
