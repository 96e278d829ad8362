"""Short ways to write changes of a small table: id bigint, name text."""

from pgevents.batch import Change, Column, Mode, TableChanges

COLUMNS = (Column("id", "bigint"), Column("name", "text"))


def insert(version: int, key: int, name: str | None = None) -> Change:
    return Change("INSERT", version, (str(key), name))


def delete(version: int, key: int) -> Change:
    return Change("DELETE", version, (str(key), None))


def truncate(version: int) -> Change:
    return Change("DELETE", version, None)


def account(*changes: Change, mode: Mode = "mirror") -> TableChanges:
    return TableChanges("account", mode, ("warehouse",), ("id",), COLUMNS, list(changes))
