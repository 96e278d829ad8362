"""docs/reference/promises.md, made from the list of mutations: `python -m tests.faults.mutations.promises` writes it."""

from pathlib import Path
from typing import NamedTuple

from local.programs.environment import PROJECT
from tests.faults.mutations.mutants import MUTANTS

PAGE = PROJECT / "docs" / "reference" / "promises.md"

_HEAD = """# Promises

What the pipeline promises, which tests try to break each promise, and which mutations of the code are known to break
it: each of them is made in a copy of the code, a pipeline runs on that, and the same verdict that finds nothing in the
code as it is must find something ([mutants.py](../../tests/faults/mutations/mutants.py)).
`./pgevents test tests/faults/mutations` tries those in bold, `PGEVENTS_SLOW=1` all of them.

This page is made from the code by `python -m tests.faults.mutations.promises`; a test holds it to that.
"""


class Promise(NamedTuple):
    """A promise and the tests that attack it, by their paths."""

    words: str
    attacks: tuple[str, ...]


PROMISES = {
    1: Promise(
        "A committed change is never lost: not by a lost doorbell, a crash between any two steps, a throttle, an expired"
        " event.",
        ("tests/faults/test_attack.py", "tests/integration/transform/test_drain_on_postgres.py",
         "tests/integration/db_triggers/test_windows.py", "tests/integration/db_triggers/test_doorbell.py",
         "tests/integration/db_triggers/test_last_look.py", "tests/integration/transform/test_restored_sources.py"),
    ),
    2: Promise(
        "A change that was rolled back never appears anywhere.",
        ("tests/faults/test_attack.py", "tests/integration/db_triggers/test_transactions.py"),
    ),
    3: Promise(
        "For one row, changes take effect in the order in which they happened, whatever is duplicated, delayed or"
        " reordered.",
        ("tests/faults/test_attack.py", "tests/integration/db_triggers/test_mutations.py",
         "tests/integration/transform/sinks/test_postgres_order.py", "tests/integration/redshift_writer/test_merge.py"),
    ),
    4: Promise(
        "The effect in every sink is exactly once. At rest, target == transform(source), row for row.",
        ("tests/faults/test_attack.py", "tests/system/test_pipeline.py",
         "tests/integration/db_triggers/test_random_statements.py"),
    ),
    5: Promise(
        "Capture never fails the application's write and never makes it wait for AWS, short of the database itself being"
        " full.",
        ("tests/faults/test_attack.py", "tests/integration/db_triggers/test_doorbell.py"),
    ),
    6: Promise(
        "No replication slot, no superuser, no WAL kept back. A dead pipeline costs table space only, and says so.",
        ("tests/integration/db_triggers/test_privileges.py", "tests/integration/db_triggers/test_rotation.py"),
    ),
    7: Promise(
        "A poison event stops its own key, not its table; it waits in the dead-letter store with its error; replay puts it"
        " right.",
        ("tests/integration/transform/test_dead_letters.py", "tests/integration/transform/test_replay.py",
         "tests/integration/redshift_writer/test_poison.py", "tests/system/test_poison.py"),
    ),
    8: Promise(
        "Nothing is silently truncated, rounded, dropped or coerced. What a target type cannot hold follows a declared"
        " policy.",
        ("tests/integration/redshift_writer/test_values.py", "tests/integration/db_triggers/test_values.py",
         "tests/integration/transform/sinks/test_postgres_refusals.py"),
    ),
    9: Promise(
        "Tables with history are backfilled while live, resumably, through the same outbox: one path for everything.",
        ("tests/integration/transform/test_snapshots.py",),
    ),
    10: Promise(
        "Reconcile proves source and target equal, or names the differing keys and repairs them through the same outbox.",
        ("tests/integration/reconcile/test_compare.py", "tests/system/test_reconcile.py"),
    ),
}  # fmt: skip


def page() -> str:
    """The page as it must be."""
    return "\n".join([_HEAD, *map(_section, PROMISES)])


def _section(number: int) -> str:
    promise = PROMISES[number]
    lines = [f"## {number}. {promise.words}", "", "Attacked by:", ""]
    lines += [f"- [{path}](../../{path})" for path in promise.attacks]
    lines += ["", "| Mutation that is found | by the scenario |", "|---|---|"]
    for mutant in MUTANTS:
        if mutant.promise == number:
            name = f"**{mutant.name}**" if mutant.always else mutant.name
            lines.append(f"| {name} | {mutant.scenario} |")
    return "\n".join([*lines, ""])


def missing() -> list[Path]:
    """Tests that the page names and that are not there."""
    paths = {PROJECT / path for promise in PROMISES.values() for path in promise.attacks}
    return sorted(path for path in paths if not path.exists())


if __name__ == "__main__":
    PAGE.write_text(page())
