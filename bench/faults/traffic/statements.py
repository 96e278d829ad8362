"""The statements of the traffic, each kind with a weight: whatever an application may do to rows."""

from collections.abc import Callable
from random import Random

import msgspec

from bench.faults.traffic import hard_values
from bench.faults.traffic.steps import Copy, Parameter, Statement, Step

Make = Callable[[Random], list[Step]]

KINDS: list[tuple[Make, int]] = []
"""Every kind with its weight."""


_HOT_KEYS = 40
_MANY_ROWS = 40


def kind(weight: int) -> Callable[[Make], Make]:
    """Registers a kind of statement; a higher weight makes it more frequent."""

    def register(make: Make) -> Make:
        KINDS.append((make, weight))
        return make

    return register


def some(random: Random) -> list[Step]:
    """One kind, chosen by chance: the one or few steps that belong together."""
    makes, weights = zip(*KINDS, strict=True)
    make: Make = random.choices(makes, weights)[0]
    return make(random)


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


def key(random: Random) -> int:
    """One of the few keys that all writers meet on."""
    return random.randint(1, _HOT_KEYS)


def new_key(random: Random) -> int:
    """A key that hardly anybody else takes."""
    return random.randint(10**3, 10**9)


def pair(random: Random) -> tuple[int, int]:
    """Two different keys, in any order."""
    first, second = random.sample(range(1, _HOT_KEYS + 1), 2)
    return first, second


def one(query: str, *parameters: Parameter) -> list[Step]:
    """A single statement."""
    return [Statement(query, parameters)]


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


@kind(8)
def delete(random: Random) -> list[Step]:
    return one("delete from account where id in (%s, %s)", *pair(random))


@kind(3)
def delete_the_rest(random: Random) -> list[Step]:
    return one("delete from account where id > %s and id %% 5 = %s", _HOT_KEYS, random.randint(0, 4))


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
        start, start + random.randint(1, _MANY_ROWS),
    )  # fmt: skip


@kind(3)
def copy_in(random: Random) -> list[Step]:
    start = new_key(random)
    rows: list[tuple[Parameter, ...]] = [
        (start + number, "1.5", hard_values.text_or_null(random))
        for number in range(random.randint(1, _MANY_ROWS))
    ]
    return [Copy("copy account (id, balance, note) from stdin", rows)]


@kind(3)
def copy_into_partitions(random: Random) -> list[Step]:
    start = new_key(random)
    rows: list[tuple[Parameter, ...]] = [
        (start + number, random.choice(("north", "south", "elsewhere")))
        for number in range(random.randint(1, 20))
    ]
    return [Copy("copy visit (id, region) from stdin", rows)]


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


@kind(8)
def order(random: Random) -> list[Step]:
    """A customer with an invoice and its lines."""
    customer, invoice = key(random), key(random)
    return [
        Statement("insert into customer (id, name) values (%s, %s) on conflict do nothing",
                  (customer, hard_values.text(random))),
        Statement("insert into invoice (id, customer_id, paid) values (%s, %s, %s) on conflict (id) do update"
                  " set paid = not invoice.paid", (invoice, customer, random.choice((True, False)))),
        Statement("insert into invoice_line (invoice_id, line, amount) select %s, g, g * 1.25 from"
                  " generate_series(1, %s::integer) as g on conflict do nothing",
                  (invoice, random.randint(1, 5))),
        Statement("insert into reminder (id, customer_id, words) values (%s, %s, %s) on conflict (id)"
                  " do update set words = excluded.words",
                  (key(random), customer, hard_values.text_or_null(random))),
    ]  # fmt: skip


@kind(4)
def cascading_delete(random: Random) -> list[Step]:
    return one("delete from customer where id in (%s, %s)", *pair(random))


@kind(4)
def cascading_update(random: Random) -> list[Step]:
    return [
        Statement("update customer set id = %s where id = %s", (new_key(random), key(random))),
        Statement("update invoice set id = id + %s where id between %s and %s",
                  (new_key(random), first := key(random), first + 3)),
    ]  # fmt: skip


@kind(3)
def writing_query(random: Random) -> list[Step]:
    return one(
        "with gone as (delete from invoice where id = %s returning id, customer_id), named as (update"
        " customer set"
        " name = coalesce(name, '') || '.' where id = %s returning id) insert into reminder (id,"
        " customer_id, words)"
        " select g.id + %s, null, 'was invoiced' from gone as g on conflict (id) do update set words ="
        " excluded.words",
        key(random), key(random), _HOT_KEYS,
    )  # fmt: skip


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


@kind(2)
def wide_key(random: Random) -> list[Step]:
    return one(
        "update wide set k2 = %s where k1 = %s and k2 = %s",
        *(random.choice(hard_values.TEXTS[:-2]), key(random) // 4, random.choice(hard_values.TEXTS[:-2])),
    )


@kind(6)
def stock(random: Random) -> list[Step]:
    return one(
        "insert into stock (id, shelf, units) values (%s, %s, %s) on conflict (id) do update"
        " set units = stock.units + excluded.units",
        key(random), random.randint(1, 3), random.randint(1, 9),
    )  # fmt: skip


@kind(3)
def stock_leaves(random: Random) -> list[Step]:
    first = key(random)
    return one("delete from stock where id between %s and %s", first, first + 3)


@kind(6)
def node(random: Random) -> list[Step]:
    first, second = pair(random)
    return one(
        "insert into node (id, v, up) values (%s, %s, null), (%s, %s, %s) on conflict (id) do update set v"
        " = node.v + 1",
        first, random.randint(0, 5), second, random.randint(0, 5), first,
    )  # fmt: skip


@kind(3)
def node_tree(random: Random) -> list[Step]:
    """Its foreign key and its trigger change further rows of the same table."""
    return random.choice(
        (
            one("update node set v = v + 1 where id <= %s", key(random)),
            one("update node set id = %s where id = %s", new_key(random), key(random)),
            one("delete from node where id = %s", key(random)),
            one("with moved as (update node set v = v + 3 where id = %s returning v) insert into node (id, v)"
                " select %s, v from moved on conflict do nothing", *pair(random)),
        )
    )  # fmt: skip


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


@kind(1)
def truncate_one_partition(random: Random) -> list[Step]:
    """Its rows are deleted; no trigger of the row sees it, so the record is written beside it."""
    part = random.choice(("visit_north", "visit_south_low", "visit_other"))
    return [
        Statement(f"lock table {part} in access exclusive mode"),
        Statement(
            "insert into traffic.change (relation, op, before, life, n) select 'visit', 'D',"
            f" array[id::text, region], life, n from {part}"
        ),
        Statement(f"truncate {part}"),
    ]


def _region(random: Random) -> str:
    return random.choice(("north", "south", "west", "east"))
