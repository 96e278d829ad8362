"""What is written first where changes are wanted elsewhere: a row trigger that sends JSON, or the row."""

from bench.peers.peer import HOST, Peer
from local.postgres import SUPERUSER

_TRIGGER = """
create function public.send_change() returns trigger language plpgsql as $$
begin
    {body}
    return null;
end
$$;
create trigger send_change after insert or update or delete on {table}
for each row execute function public.send_change();
"""

_OUTBOX = """
create table public.outbox (
    outbox_id bigint generated always as identity primary key, table_name text not null, op text not null,
    before jsonb, after jsonb, changed_at timestamptz not null default clock_timestamp()
);
"""

_WAREHOUSE = """
create extension postgres_fdw;
create server warehouse foreign data wrapper postgres_fdw
options (host '{host}', port '{port}', dbname '{database}');
create user mapping for current_user server warehouse options (user '{user}');
create schema warehouse;
import foreign schema public limit to (change) from server warehouse into warehouse;
"""


class JsonNotify(Peer):
    """NOTIFY with the row as JSON. Nobody listens, in its favour."""

    name = "row trigger, jsonb, pg_notify"

    def set_up(self) -> None:
        notify = (
            "perform pg_notify('change', jsonb_build_object('table', tg_table_name, 'op', tg_op,"
            " 'row', to_jsonb(case when tg_op = 'DELETE' then old else new end))::text);"
        )
        self.source.execute(_TRIGGER.format(table=self.table, body=notify))


class JsonOutbox(Peer):
    """The old and the new row as jsonb into one table for all."""

    name = "row trigger, jsonb outbox"

    def set_up(self) -> None:
        insert = (
            "insert into public.outbox (table_name, op, before, after) values (tg_table_name, tg_op,"
            " case when tg_op <> 'INSERT' then to_jsonb(old) end,"
            " case when tg_op <> 'DELETE' then to_jsonb(new) end);"
        )
        self.source.execute(_OUTBOX + _TRIGGER.format(table=self.table, body=insert))


class RowIntoWarehouse(Peer):
    """An INSERT a row into another server, which stands for the warehouse, through a foreign table."""

    name = "row trigger, INSERT into the warehouse"
    packages = ("postgresql-15",)
    costs_a_round_trip_a_row = True

    def set_up(self) -> None:
        port, database = self.target.server.port, self.target.database
        self.target.execute(f"create table public.change (op text not null, like {self.table})")
        insert = (
            "if tg_op = 'DELETE' then insert into warehouse.change select tg_op, old.*;"
            " else insert into warehouse.change select tg_op, new.*; end if;"
        )
        self.source.execute(
            _WAREHOUSE.format(host=HOST, port=port, database=database, user=SUPERUSER)
            + _TRIGGER.format(table=self.table, body=insert)
        )
