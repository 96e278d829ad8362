"""Statements on the rows of one table."""

from random import Random

import msgspec

from bench.faults.traffic import hard_values
from bench.faults.traffic.statements.kinds import HOT_KEYS, MANY_ROWS, key, kind, new_key, one, pair
from bench.faults.traffic.steps import Copy, Parameter, Statement, Step


@kind(14)
def upsert(random: Random) -> list[Step]:
    return one(
        "insert into account (id, balance, note, tags, extra) values (%s, %s, %s, %s, %s::jsonb) on"
        " conflict (id)"
        " do update set balance = account.balance + 1, note = excluded.note, tags = excluded.tags",
        key(random), random.randint(-(10**12), 10**12), hard_values.text_or_null(random),
        hard_values.texts(random),
        msgspec.json.encode({"n": random.random(), "text": hard_values.text(random)}).decode(),
    )  # fmt: skip


@kind(4)
def insert_or_nothing(random: Random) -> list[Step]:
    return one(
        "insert into account (id, note) values (%s, %s), (%s, %s) on conflict do nothing",
        key(random), hard_values.text(random), new_key(random), None,
    )  # fmt: skip


@kind(10)
def update_range(random: Random) -> list[Step]:
    first = key(random)
    return one("update account set balance = balance * 1.0001 where id between %s and %s", first, first + 6)


@kind(3)
def update_of_nothing_new(random: Random) -> list[Step]:
    return one("update account set note = note where id = %s", key(random))


@kind(8)
def meet_in_opposite_order(random: Random) -> list[Step]:
    """Two such transactions at once are a deadlock."""
    return [
        Statement("update account set balance = balance + %s where id = %s", (sign, one_key))
        for sign, one_key in zip((1, -1), pair(random), strict=True)
    ]


@kind(8)
def delete(random: Random) -> list[Step]:
    return one("delete from account where id in (%s, %s)", *pair(random))


@kind(3)
def delete_the_rest(random: Random) -> list[Step]:
    return one("delete from account where id > %s and id %% 5 = %s", HOT_KEYS, random.randint(0, 4))


@kind(3)
def insert_selected(random: Random) -> list[Step]:
    return one(
        "insert into account (id, balance, note) select id + %s, balance, note from account where id <= %s"
        " on conflict do nothing",
        new_key(random), key(random),
    )  # fmt: skip


@kind(3)
def insert_many(random: Random) -> list[Step]:
    start = new_key(random)
    return one(
        "insert into account (id, balance, note) select g, g / 7.0, 'many ' || g"
        " from generate_series(%s::integer, %s::integer) as g on conflict do nothing",
        start, start + random.randint(1, MANY_ROWS),
    )  # fmt: skip


@kind(3)
def copy_in(random: Random) -> list[Step]:
    start = new_key(random)
    rows: list[tuple[Parameter, ...]] = [
        (start + number, "1.5", hard_values.text_or_null(random))
        for number in range(random.randint(1, MANY_ROWS))
    ]
    return [Copy("copy account (id, balance, note) from stdin", rows)]


@kind(5)
def merge(random: Random) -> list[Step]:
    first, second = pair(random)
    return one(
        "merge into account as t using (values (%s::integer, %s::numeric), (%s, %s)) as s (id, amount)"
        " on t.id = s.id when matched and s.amount > 8 then delete"
        " when matched then update set balance = t.balance + s.amount"
        " when not matched then insert (id, balance) values (s.id, s.amount)",
        first, random.randint(0, 10), second, random.randint(0, 10),
    )  # fmt: skip


@kind(3)
def cursor_updates(random: Random) -> list[Step]:
    first = key(random)
    return one(
        "do $$ declare c cursor for select id from account where id between "
        f"{first} and {first + 5} order by id for update; found_id integer; begin open c; loop fetch c into"
        " found_id; exit when not found; if found_id % 3 = 0 then delete from account where current of c;"
        " else update account set balance = balance - 1 where current of c; end if; end loop; end $$"
    )


@kind(2)
def client_cursor(random: Random) -> list[Step]:
    return [
        Statement(f"declare seen cursor for select * from account where id >= {key(random)} for update"),
        Statement("fetch 2 from seen"),
        Statement("update account set note = 'current' where current of seen"),
        Statement("close seen"),
    ]


@kind(3)
def several_in_one_message(random: Random) -> list[Step]:
    first, second = pair(random)
    return one(
        f"update account set balance = balance + 1 where id = {first};"
        f" update account set balance = balance + 1 where id in ({first}, {second});"
        f" delete from account where id = {second};"
        f" insert into account (id, balance) values ({second}, 0) on conflict do nothing"
    )


@kind(3)
def function_with_handled_errors(random: Random) -> list[Step]:
    first, second = pair(random)
    return one(
        f"do $$ begin insert into account (id) values ({first});"
        f" begin update account set balance = balance + 1 where id = {second};"
        f" insert into account (id) values ({first}); exception when unique_violation then"
        f" update account set note = 'handled' where id = {second}; end; exception when unique_violation"
        " then null; end $$"
    )


@kind(8)
def wide_upsert(random: Random) -> list[Step]:
    values = hard_values.wide(random)
    columns = ", ".join(values)
    casts = ", ".join(f"%s::{hard_values.WIDE_TYPES[name]}" for name in values)
    changed = ", ".join(f"{name} = excluded.{name}" for name in random.sample(sorted(values), 5))
    query = f"insert into wide (k1, k2, {columns}) values (%s, %s, {casts}) on conflict (k1, k2)"
    return one(
        f"{query} do update set {changed}",
        key(random) // 4,
        random.choice(hard_values.TEXTS[:-2]),
        *values.values(),
    )


@kind(3)
def wide_delete(random: Random) -> list[Step]:
    return one("delete from wide where k1 = %s", key(random) // 4)


@kind(1)
def truncate(random: Random) -> list[Step]:
    tables = (
        "account",
        "account, seat",
        "customer cascade",
        "visit",
        "stock_movement restart identity",
        "node",
        "wide, stock_total",
    )
    return one(f"truncate {random.choice(tables)}")


def huge(random: Random, rows: int) -> list[Step]:
    """One transaction of several times so many rows: inserted, updated, given new keys, and most of them
    deleted.
    """
    start = random.randint(10**6, 10**9)
    end = start + rows - 1
    return [
        Statement(
            "insert into account (id, balance, note) select g, g / 7.0, 'huge ' || g from"
            " generate_series(%s::integer,"
            " %s::integer) as g on conflict do nothing", (start, end),
        ),
        Statement("update account set balance = balance + 1 where id between %s and %s", (start, end)),
        Statement("update account set id = id + %s where id between %s and %s", (rows, start,
            start + rows // 10)),
        Statement("delete from account where id between %s and %s", (start, end - rows // 20)),
    ]  # fmt: skip
