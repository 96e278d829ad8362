"""Ten thousand rows in one batch: measured, and held to a rate that only a wrong turn would miss."""

import time

import pytest

from pgevents.batch import Change, Column, Mode, TableChanges
from tests.integration.redshift_writer.conftest import Apply, Target

ROWS = 10_000
COLUMNS = tuple(
    Column(name, kind)
    for name, kind in {
        "id": "bigint",
        "email": "text",
        "name": "text",
        "balance": "numeric(12,2)",
        "status": "text",
        "active": "boolean",
        "settings": "jsonb",
        "tags": "text[]",
        "created": "timestamp with time zone",
        "updated": "timestamp with time zone",
        "born": "date",
        "note": "text",
    }.items()
)


def changes(first_version: int) -> list[Change]:
    moment = "2026-01-01 12:00:00.123456+00"
    return [
        Change(
            "INSERT",
            first_version + key,
            (
                str(key),
                f"someone{key}@example.org",
                f"Some One {key}",
                f"{key}.25",
                "active",
                "t",
                f'{{"theme": "dark", "size": {key}}}',
                '{a,"b c",NULL}',
                moment,
                moment,
                "1990-05-17",
                "it's a note, with a \\ in it" if key % 3 else None,
            ),
        )
        for key in range(ROWS)
    ]


@pytest.mark.parametrize("mode", ["mirror", "both"])
def test_ten_thousand_rows_go_in_two_round_trips(
    target: Target,
    apply: Apply,
    mode: Mode,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def table(first_version: int) -> TableChanges:
        return TableChanges("account", mode, ("warehouse",), ("id",), COLUMNS, changes(first_version))

    apply(table(1))
    rates = []
    for number in range(1, 4):
        batch = table(number * ROWS + 1)
        started = time.perf_counter()
        applied = apply(batch)
        rates.append(ROWS / (time.perf_counter() - started))
        assert applied.round_trips == 2
        assert applied.counts.inserted == ROWS
    with capsys.disabled():
        print(f"\n{mode}: {[round(rate) for rate in rates]} rows/s, {len(COLUMNS)} columns, 2 round trips")
    assert max(rates) > 2_000
