"""Statements on a partitioned table and on single partitions."""

from random import Random

from bench.faults.traffic.statements.kinds import key, kind, new_key, one, pair
from bench.faults.traffic.steps import Copy, Parameter, Statement, Step


@kind(3)
def copy_into_partitions(random: Random) -> list[Step]:
    start = new_key(random)
    rows: list[tuple[Parameter, ...]] = [
        (start + number, random.choice(("north", "south", "elsewhere")))
        for number in range(random.randint(1, 20))
    ]
    return [Copy("copy visit (id, region) from stdin", rows)]


@kind(4)
def merge_into_partitions(random: Random) -> list[Step]:
    first, second = pair(random)
    return one(
        "merge into visit as t using (values (%s::integer, %s::text), (%s, %s)) as s (id, region)"
        " on t.id = s.id when matched and t.visits > 4 then delete"
        " when matched then update set region = s.region, visits = t.visits + 1"
        " when not matched then insert (id, region) values (s.id, s.region)",
        first, _region(random), second, _region(random),
    )  # fmt: skip


@kind(2)
def merge_into_one_partition(random: Random) -> list[Step]:
    return one(
        "merge into visit_north as t using (values (%s::integer), (%s)) as s (id) on t.id = s.id"
        " when matched and t.visits > 4 then delete when matched then update set visits = t.visits + 1"
        " when not matched then insert (id, region) values (s.id, 'north')",
        *pair(random),
    )


@kind(6)
def visit(random: Random) -> list[Step]:
    return one(
        "insert into visit (id, region) values (%s, %s) on conflict (id, region) do update"
        " set visits = visit.visits + 1",
        key(random), _region(random),
    )  # fmt: skip


@kind(5)
def move_between_partitions(random: Random) -> list[Step]:
    return one(
        "update visit set region = %s, id = id + %s where id = %s and region = %s",
        _region(random), random.choice((0, 0, 15)), key(random), _region(random),
    )  # fmt: skip


@kind(3)
def delete_visits(random: Random) -> list[Step]:
    return one("delete from visit where id = %s or visits > 6", key(random))


@kind(1)
def truncate_one_partition(random: Random) -> list[Step]:
    """Its rows are deleted; no trigger of the row sees it, so a note of it is written beside it."""
    part = random.choice(("visit_north", "visit_south_low", "visit_other"))
    return [
        Statement(f"lock table {part} in access exclusive mode"),
        Statement(
            "insert into traffic.change (relation, op, before, after)"
            " values ('visit', 'P', array[%s], array[current_setting('transaction_isolation')])",
            (part,),
        ),
        Statement(f"truncate {part}"),
    ]


def _region(random: Random) -> str:
    return random.choice(("north", "south", "west", "east"))
