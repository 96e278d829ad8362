"""Statements that give rows other keys."""

from random import Random

from bench.faults.traffic import hard_values
from bench.faults.traffic.statements.kinds import key, kind, new_key, one, pair
from bench.faults.traffic.steps import Statement, Step


@kind(6)
def change_key(random: Random) -> list[Step]:
    return one(
        "update account set id = %s where id = %s", random.choice((key(random), new_key(random))), key(random)
    )


@kind(2)
def change_many_keys(random: Random) -> list[Step]:
    first = key(random)
    return one(
        "update account set id = id + %s, balance = balance + 1 where id between %s and %s",
        new_key(random), first, first + 10,
    )  # fmt: skip


@kind(4)
def swap_keys(random: Random) -> list[Step]:
    first, second = pair(random)
    return one("update seat set id = %s - id where id in (%s, %s)", first + second, first, second)


@kind(3)
def shift_keys(random: Random) -> list[Step]:
    return one("update seat set id = id + %s where id >= %s", random.choice((1, -1)), key(random))


@kind(3)
def swap_keys_one_by_one(random: Random) -> list[Step]:
    first, second = pair(random)
    return [
        Statement("set constraints seat_key deferred"),
        Statement("update seat set id = %s where id = %s and label is distinct from 'new'", (first, second)),
        Statement("update seat set id = %s where id = %s", (second, first)),
        Statement("set constraints seat_key immediate"),
    ]


@kind(5)
def take_a_seat(random: Random) -> list[Step]:
    return one("insert into seat (id, label) select %s, %s where not exists (select from seat where id = %s)",
               (taken := key(random)), hard_values.text_or_null(random), taken)  # fmt: skip


@kind(3)
def leave_seats(random: Random) -> list[Step]:
    return one("delete from seat where id between %s and %s", *sorted(pair(random)))


@kind(2)
def wide_key(random: Random) -> list[Step]:
    return one(
        "update wide set k2 = %s where k1 = %s and k2 = %s",
        *(random.choice(hard_values.TEXTS[:-2]), key(random) // 4, random.choice(hard_values.TEXTS[:-2])),
    )
