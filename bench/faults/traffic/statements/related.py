"""Statements that change rows of several tables, by foreign keys, triggers and queries that write."""

from random import Random

from bench.faults.traffic import hard_values
from bench.faults.traffic.statements.kinds import HOT_KEYS, key, kind, new_key, one, pair
from bench.faults.traffic.steps import Statement, Step


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
        key(random), key(random), HOT_KEYS,
    )  # fmt: skip


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
