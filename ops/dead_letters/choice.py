"""Which dead letters a command is about: its arguments, and what they mean in each source."""

import argparse
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from ops.dead_letters.letters import Selection
from pgevents.errors import InputError

_AGO = re.compile(r"^(\d+)([smhd])$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what selects letters."""
    parser.add_argument("--source", help="only of this source")
    parser.add_argument("--table", help="only of this table: schema.table, or source.schema.table")
    parser.add_argument(
        "--key", action="append", default=[], metavar="COLUMN=VALUE", help="only of the row with this key"
    )
    parser.add_argument("--since", metavar="TIME", help="died at or after: an ISO time, or an age such as 2h")
    parser.add_argument("--until", metavar="TIME", help="died before: an ISO time, or an age such as 30m")


def selections(
    args: argparse.Namespace, references: list[str], sources: Mapping[str, str]
) -> dict[str, Selection]:
    """What the arguments and the letters named by number select, by source.

    A letter is SOURCE/NUMBER, or its number alone where there is one source only. Raises InputError for what
    nothing could fit.
    """
    source, table = _source_and_table(args, sources)
    ids = _ids(references, source, sources)
    names = [source] if source else list(ids) if references else list(sources)
    keys = tuple(_key(text) for text in args.key)
    since, until = _moment(args.since, "--since"), _moment(args.until, "--until")
    return {name: Selection(tuple(ids.get(name, ())), keys, table, since, until) for name in names}


def selects_something(args: argparse.Namespace) -> bool:
    """Whether anything but the source was said."""
    return bool(args.table or args.key or args.since or args.until)


def _source_and_table(args: argparse.Namespace, sources: Mapping[str, str]) -> tuple[str, str]:
    source, table = args.source or "", args.table or ""
    if table.count(".") == 2:
        named, table = table.split(".", 1)
        if source and source != named:
            raise InputError(f"--table is of source {named} and --source is {source}; leave one of them out")
        source = named
    elif table and table.count(".") != 1:
        raise InputError(f"--table {table}: expected schema.table or source.schema.table")
    if source and source not in sources:
        raise InputError(f"there is no source {source!r}; expected one of {', '.join(sources)}")
    return source, table


def _ids(references: list[str], source: str, sources: Mapping[str, str]) -> dict[str, list[int]]:
    ids: dict[str, list[int]] = {}
    only = source or (next(iter(sources)) if len(sources) == 1 else "")
    for reference in references:
        name, _, number = reference.rpartition("/")
        name = name or only
        if name not in sources or (source and name != source) or not number.isdecimal():
            raise InputError(
                f"{reference!r} is no dead letter; expected SOURCE/NUMBER as ./pgevents dead-letters list"
                f" prints it, with a source of {', '.join(sources)}"
            )
        ids.setdefault(name, []).append(int(number))
    return ids


def _key(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not column or not equals:
        raise InputError(f"--key {text}: expected COLUMN=VALUE")
    return column, value


def _moment(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    if ago := _AGO.match(text):
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{option} {text}: expected an ISO time or an age such as 2h") from error
    return moment if moment.tzinfo else moment.astimezone()
