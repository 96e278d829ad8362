"""`./pgevents dead-letters`: find, read and discard the events that could not be taken."""

import argparse
import sys
from pathlib import Path

import msgspec
import psycopg
from rich.console import Console
from rich.table import Table

from ops.dead_letters import choice, letters
from ops.endpoints import DEFAULT_STATE, connect, read_endpoints
from ops.operator import operator
from pgevents.config import Drain
from pgevents.errors import InputError

SUMMARY = "List, show and discard events that could not be taken"

_BATCH_EVENTS = Drain().batch_events


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="list | show | discard")
    listing = actions.add_parser("list", help="what died, oldest first", allow_abbrev=False)
    choice.arguments(listing)
    listing.add_argument("--resolved", action="store_true", help="those that were replayed or discarded")
    listing.add_argument("--limit", type=int, default=50, metavar="N", help="at most so many a source (50)")
    showing = actions.add_parser("show", help="everything about one letter", allow_abbrev=False)
    showing.add_argument("letter", metavar="SOURCE/NUMBER")
    discarding = actions.add_parser("discard", help="give letters up for good", allow_abbrev=False)
    discarding.add_argument("letters", nargs="+", metavar="SOURCE/NUMBER")
    discarding.add_argument("--reason", help="why, for those who ask later")
    discarding.add_argument("--yes", action="store_true", help="do not ask")
    state = "the pipeline's state folder"
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help=state)
    for action in (listing, showing, discarding):
        # Taken before the action as well as after it.
        action.add_argument("--state", type=Path, default=argparse.SUPPRESS, help=state)
    for action in (listing, showing):
        action.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    if args.action == "list" and args.limit < 1:
        raise InputError(f"--limit {args.limit}: expected 1 or more")
    sources = read_endpoints(args.state).sources
    match args.action:
        case "list":
            return _list(args, sources)
        case "show":
            return _show(args, sources)
        case _:
            return _discard(args, sources)


def _list(args: argparse.Namespace, sources: dict[str, str]) -> int:
    found: list[tuple[str, letters.Letter]] = []
    for source, which in choice.selections(args, [], sources).items():
        with connect(source, sources[source]) as connection:
            found += [
                (source, letter) for letter in letters.found(connection, which, args.resolved, args.limit)
            ]
    if args.json:
        print(
            msgspec.json.encode([{"source": source, **_plain(letter)} for source, letter in found]).decode()
        )
    elif not found:
        print(_none(args))
    else:
        Console(width=None if sys.stdout.isatty() else 160).print(_table(found))
    return 0


def _none(args: argparse.Namespace) -> str:
    none = "no letters were replayed or discarded lately" if args.resolved else "no dead letters"
    # A misspelt table or column fits nothing either, and must not read as if all were well.
    return f"{none} that fit; without a selection all are listed" if choice.selects_something(args) else none


def _plain(letter: letters.Letter) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(letter)
    return plain


def _table(found: list[tuple[str, letters.Letter]]) -> Table:
    # The error gets the room that is left: a letter whose number is cut off cannot be named to any command.
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", expand=True)
    for heading in ("letter", "died"):
        table.add_column(heading, no_wrap=True)
    table.add_column("table", overflow="fold")
    table.add_column("event", no_wrap=True)
    table.add_column("key", overflow="fold")
    table.add_column("behind", justify="right", no_wrap=True)
    table.add_column("tried", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("error", overflow="ellipsis", no_wrap=True, ratio=1, width=12)
    for source, letter in found:
        table.add_row(
            f"{source}/{letter.dead_letter_id}",
            f"{letter.died_at.astimezone():%m-%d %H:%M}",
            letter.table,
            letter.event_type,
            " → ".join(_spelled(key) for key in letter.keys) or "every row",
            f"{letter.behind:,}",
            str(letter.attempts),
            letter.state,
            letter.error.splitlines()[0] if letter.error else "",
        )
    return table


def _spelled(key: dict[str, str | None]) -> str:
    return ", ".join(f"{name}={value}" for name, value in key.items())


def _show(args: argparse.Namespace, sources: dict[str, str]) -> int:
    source, number = _one(args.letter, sources)
    with connect(source, sources[source]) as connection:
        letter = letters.in_full(connection, number)
    if letter is None:
        raise InputError(f"there is no dead letter {source}/{number}; resolved ones are kept for a week")
    if args.json:
        print(msgspec.json.encode({"source": source, **msgspec.to_builtins(letter)}).decode())
    else:
        print("\n".join(_lines(source, letter)))
    return 0


def _lines(source: str, full: letters.LetterInFull) -> list[str]:
    letter = full.letter
    lines = [
        f"{source}/{letter.dead_letter_id}: {letter.event_type} of {source}.{letter.table}",
        f"  key        {' → '.join(_spelled(key) for key in letter.keys) or 'every row'}",
        f"  captured   {full.captured_at}, batch {full.batch_id}, version {full.epoch}.{full.seq}",
        f"  died       {letter.died_at.astimezone():%Y-%m-%d %H:%M:%S%z}, tried {letter.attempts} times",
        f"  state      {letter.state}{_resolved(full)}",
        f"  behind it  {letter.behind:,} later events of the same row",
    ]
    for name, image in (("before", full.before), ("after", full.after)):
        if image is not None:
            lines.append(f"  {name}")
            lines += [f"    {column} = {_value(value)}" for column, value in image.items()]
    lines += ["  error", *(f"    {line}" for line in (full.stack or letter.error).splitlines())]
    return lines


def _value(value: str | None) -> str:
    return "NULL" if value is None else value


def _resolved(full: letters.LetterInFull) -> str:
    if full.resolved_at is not None:
        by = f" by {full.resolved_by}" if full.resolved_by else ""
        why = f": {full.resolved_reason}" if full.resolved_reason else ""
        return f" {full.resolved_at.astimezone():%Y-%m-%d %H:%M:%S%z}{by}{why}"
    return f" in batch {full.replay_batch_id}" if full.replay_batch_id is not None else ""


def _discard(args: argparse.Namespace, sources: dict[str, str]) -> int:
    chosen = {name: which.ids for name, which in _named(args.letters, sources).items()}
    for source, numbers in chosen.items():
        with connect(source, sources[source]) as connection:
            _require_waiting(source, numbers, connection)
    reason = _agreed(args)
    if reason is None:
        print("nothing is discarded")
        return 1
    for source, numbers in chosen.items():
        with connect(source, sources[source]) as connection:
            discarded, sent_again = letters.discard(
                connection, list(numbers), _BATCH_EVENTS, operator(), reason
            )
            letters.wake(connection)
        again = f"; {sent_again:,} that waited behind are sent again" if sent_again else ""
        print(f"{source}: {discarded:,} discarded{again}")
    return 0


def _require_waiting(source: str, numbers: tuple[int, ...], connection: psycopg.Connection) -> None:
    waiting = letters.waiting(connection, letters.Selection(ids=numbers))
    for number in numbers:
        full = letters.in_full(connection, number)
        if full is None:
            raise InputError(f"there is no dead letter {source}/{number}")
        if number not in waiting:
            raise InputError(f"{source}/{number} is {full.letter.state} already; nothing is discarded")


def _agreed(args: argparse.Namespace) -> str | None:
    """The reason, asked for on a terminal; None when the operator does not want to after all."""
    if args.yes and args.reason:
        return str(args.reason)
    if not sys.stdin.isatty():
        raise InputError("discard needs --yes and --reason TEXT where nobody can be asked")
    count = len(args.letters)
    reason = args.reason or input(f"Why are {count} events given up? ").strip()
    if not reason:
        return None
    if args.yes or input(f"Give {count} events up for good? They reach no target. [y/N] ").lower() == "y":
        return str(reason)
    return None


def _one(reference: str, sources: dict[str, str]) -> tuple[str, int]:
    ((source, which),) = _named([reference], sources).items()
    return source, which.ids[0]


def _named(references: list[str], sources: dict[str, str]) -> dict[str, letters.Selection]:
    nothing = argparse.Namespace(source=None, table=None, key=[], since=None, until=None)
    return choice.selections(nothing, references, sources)
