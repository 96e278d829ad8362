"""The source table of the benches, of twelve mixed columns, and what is written to it."""

TABLE = "public.account"
KNOWN = 20_000
"""Rows that are there from the beginning and stay: keys 1 to KNOWN."""

SCHEMA = """
create table public.account (
    account_id bigint constraint account_pkey primary key,
    operator_id uuid not null,
    organisation text not null,
    email varchar(120) not null,
    country char(2) not null,
    balance numeric(14, 2) not null,
    logins integer not null,
    active boolean not null,
    roots text[] not null,
    settings jsonb not null,
    opened_on date not null,
    changed_at timestamptz not null
) with (fillfactor = 80);
"""

TYPES = (
    "bigint", "uuid", "text", "varchar", "bpchar", "numeric", "integer", "boolean", "text[]", "jsonb", "date",
    "timestamptz",
)  # fmt: skip
"""Of its columns."""

_ROWS = """
select
    {key}, gen_random_uuid(), 'Organisation number ' || {key}, 'someone.' || {key} || '@example.org', 'CH',
    mod({key}, 100000) / 7.0, 0, true, array['one root', 'another root'],
    jsonb_build_object('theme', 'dark', 'pages', mod({key}, 50), 'mails', jsonb_build_array('a', 'b')),
    date '2020-01-01' + mod({key}, 2000)::integer, clock_timestamp()
"""

FILL = f"insert into public.account {_ROWS.format(key='g')} from generate_series(1, {KNOWN}::bigint) as g"
INSERT = f"insert into public.account {_ROWS.format(key='k')} from (values ({{key}}::bigint)) as v (k)"
UPDATE = (
    "update public.account set balance = balance + 1.25, logins = logins + 1, changed_at = clock_timestamp()"
    " where account_id = {key}"
)
DELETE = "delete from public.account where account_id = {key}"

_NEW = 1_000_000_000_000
"""Where the keys begin that statements of many rows insert; nothing else writes there."""

TRANSACTIONS = 1
"""In one run of the script."""


def script() -> str:
    """The transactions for pgbench, `n` being 0 at first: an insertion, two updates, a deletion, in turn.

    Each client inserts and deletes rows of its own, and updates those that all know.
    """
    return "\n".join(
        (
            r"\set n :n + 1",
            r"\set step mod(:n, 4)",
            r"\if :step = 1",
            rf"\set own random({KNOWN + 1}, {_NEW} - 1)",
            INSERT.format(key=":own") + ";",
            r"\elif :step = 0",
            DELETE.format(key=":own") + ";",
            r"\else",
            rf"\set known random(1, {KNOWN})",
            UPDATE.format(key=":known") + ";",
            r"\endif",
            "",
        )
    )


BULK = (
    f"insert into {TABLE} {_ROWS.format(key='g')} from generate_series({_NEW} + 1, {_NEW} + %s::bigint) as g",
    f"update {TABLE} set balance = balance + 1.25, logins = logins + 1 where account_id > {_NEW}",
    f"delete from {TABLE} where account_id > {_NEW}",
)
"""An insertion of as many rows as its parameter says; an update and a deletion of all these."""
