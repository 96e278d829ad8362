-- The tables of the traffic: between them every way in which PostgreSQL changes a row. create_tables adds to
-- each the columns life, n and tx and the triggers that stamp and record its rows.

create type public.mood as enum ('calm', 'it''s "so-so"', 'стресс');
create domain public.percentage as integer check (value between 0 and 100);

create table public.journal (tx text primary key, writer integer not null, number integer not null, note text);

create table public.account (
    id integer primary key, balance numeric(20, 4) not null default 0, note text, tags text[], extra jsonb,
    doubled numeric(21, 4) generated always as (balance * 2) stored
);

-- Keys that are swapped and shifted.
create table public.seat (id integer, label text, constraint seat_key primary key (id) deferrable);

create table public.customer (id integer primary key, name text);
create table public.invoice (
    id integer primary key, customer_id integer references public.customer on update cascade on delete cascade,
    paid boolean
);
create table public.invoice_line (
    invoice_id integer references public.invoice on update cascade on delete cascade, line integer,
    amount numeric(12, 2), primary key (invoice_id, line)
);
create table public.reminder (
    id integer primary key,
    customer_id integer references public.customer on update cascade on delete set null, words text
);

create table public.visit (id integer, region text, visits integer not null default 1, primary key (id, region))
partition by list (region);
create table public.visit_north partition of public.visit for values in ('north');
create table public.visit_south partition of public.visit for values in ('south') partition by range (id);
create table public.visit_south_low partition of public.visit_south for values from (minvalue) to (20);
create table public.visit_south_high partition of public.visit_south for values from (20) to (maxvalue);
create table public.visit_other partition of public.visit default;

create table public.wide (
    k1 integer, k2 text, c_bool boolean, c_small smallint, c_big bigint, c_real real, c_double double precision,
    c_numeric numeric, c_uuid uuid, c_date date, c_time time, c_stamp timestamp, c_stamptz timestamptz,
    c_interval interval, c_bytea bytea, c_json json, c_jsonb jsonb, c_ints integer[], c_texts text[], c_inet inet,
    c_char character(6), c_varchar varchar(60), c_mood public.mood, c_share public.percentage,
    c_virtual bigint generated always as (k1 + 1000) virtual,
    primary key (k1, k2)
);

-- The application's own triggers write: into another table, and into a row that all of them meet on.
create table public.stock (id integer primary key, shelf integer not null, units integer not null);
create table public.stock_movement (
    id bigint generated always as identity primary key, stock_id integer not null, units integer
);
create table public.stock_total (shelf integer primary key, units bigint not null);

create function traffic.move_stock() returns trigger language plpgsql as $$
begin
    insert into public.stock_movement (stock_id, units)
    values (coalesce(new.id, old.id), coalesce(new.units, 0) - coalesce(old.units, 0));
    insert into public.stock_total as t (shelf, units) values (coalesce(new.shelf, old.shelf), coalesce(new.units, 0))
    on conflict (shelf) do update set units = t.units + excluded.units - coalesce(old.units, 0);
    return null;
end $$;
create trigger move_stock after insert or update or delete on public.stock
for each row execute function traffic.move_stock();

-- Statements within statements on one table: by its own foreign key and by its own trigger.
create table public.node (
    id integer primary key, v integer not null default 0,
    up integer references public.node on update cascade on delete cascade
);
create function traffic.lift_node() returns trigger language plpgsql as $$
begin
    update public.node set v = v + 1 where id in (new.id, new.up);
    return null;
end $$;
create trigger lift_node after update on public.node
for each row when (pg_trigger_depth() < 2 and new.v % 3 = 0) execute function traffic.lift_node();
