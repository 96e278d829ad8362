"""The rows of a batch: the benches' table of twelve mixed columns, as `bench/capture/tables.py` fills it."""

from collections.abc import Iterator

from pgevents.batch import Batch, Change, Column, TableChanges

TARGET = "account"
COLUMNS = (
    Column("account_id", "bigint"),
    Column("operator_id", "uuid"),
    Column("organisation", "text"),
    Column("email", "character varying(120)"),
    Column("country", "character(2)"),
    Column("balance", "numeric(14,2)"),
    Column("logins", "integer"),
    Column("active", "boolean"),
    Column("roots", "text[]"),
    Column("settings", "jsonb"),
    Column("opened_on", "date"),
    Column("changed_at", "timestamp with time zone"),
)
Values = tuple[str, ...]


def rows(count: int, of_batch: int) -> Iterator[Values]:
    """Rows with keys from 1; of another batch they have the same keys and other values."""
    for key in range(1, count + 1):
        seed = key * 7_919 + of_batch
        yield (
            str(key),
            f"{seed * 2_654_435_761 % 2**32:08x}-9dc0-41d1-b245-{seed:012x}",
            f"Organisation number {seed}",
            f"someone.{seed}@example.org",
            "CH",
            f"{seed % 100_000 / 7:.2f}",
            str(of_batch),
            "t" if seed % 5 else "f",
            '{"one root","another root"}',
            f'{{"mails": ["a", "b"], "pages": {seed % 50}, "theme": "dark"}}',
            f"20{20 + seed % 6}-0{1 + seed % 9}-1{seed % 10}",
            f"2026-11-28 1{seed % 10}:{seed % 60:02}:07.{seed % 1_000_000:06}+00",
        )


def batch(count: int, number: int) -> Batch:
    """So many changes of one target, each newer than those of any batch before."""
    first = number * 1_000_000
    changes = [Change("INSERT", first + at, values) for at, values in enumerate(rows(count, number))]
    table = TableChanges(TARGET, "mirror", ("warehouse",), ("account_id",), COLUMNS, changes)
    return Batch("accounts", number, 1, "2026-11-28T00:00:00+00:00", [table])
