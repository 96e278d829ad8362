"""The traffic follows from its seed."""

from collections import Counter
from itertools import islice
from random import Random

import msgspec
import pytest

from bench.faults.traffic.script import Transaction, transaction, transactions
from bench.faults.traffic.statements import kinds as statements
from bench.faults.traffic.steps import Block, Statement, Step


def first(seed: int, writer: int = 0, count: int = 300) -> list[Transaction]:
    return list(islice(transactions(seed, writer), count))


def depth(transaction: Transaction) -> int:
    def of(steps: list[object]) -> int:
        return max((1 + of(step.steps) for step in steps if isinstance(step, Block)), default=0)  # type: ignore[arg-type]

    return of(transaction.steps)  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_statements() -> None:
    assert msgspec.json.encode(first(7)) == msgspec.json.encode(first(7))


def test_another_seed_or_writer_gives_others() -> None:
    assert first(7) != first(8)
    assert first(7, writer=1) != first(7, writer=2)


def test_one_transaction_can_be_looked_at_without_those_before_it() -> None:
    assert transaction(7, 3, 40) == first(7, writer=3, count=40)[-1]


def test_every_kind_of_statement_ending_and_isolation_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: Counter[str] = Counter()
    names = {make.__name__ for make, _ in statements.KINDS}
    counted = [(counting(make, drawn), weight) for make, weight in statements.KINDS]
    monkeypatch.setattr(statements, "KINDS", counted)
    found = first(1, count=1_000)
    assert set(drawn) == names
    assert {each.ending for each in found} == {"commit", "roll back", "prepare, commit", "prepare, roll back"}
    assert {each.isolation for each in found} == {"read committed", "repeatable read", "serializable"}
    assert any(each.replica for each in found)
    assert max(map(depth, found)) == 3


def counting(make: statements.Make, drawn: Counter[str]) -> statements.Make:
    def counted(random: Random) -> list[Step]:
        drawn[make.__name__] += 1
        return make(random)

    return counted


def test_a_huge_transaction_comes_as_often_as_asked_for() -> None:
    found = list(islice(transactions(1, 0, huge_every=10, huge_rows=20_000), 20))
    huge = [
        each.number
        for each in found
        if any("'huge '" in step.sql for step in each.steps if isinstance(step, Statement))
    ]
    assert huge == [10, 20]
