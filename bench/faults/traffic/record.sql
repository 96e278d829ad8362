-- The generator's own record, kept beside each change and in its transaction: it commits and rolls back with it.

create schema traffic;
create sequence traffic.life cache 1;
create sequence traffic.change_number cache 1;

create table traffic.change (
    number bigint not null default nextval('traffic.change_number'),
    tx text not null default current_setting('traffic.tx'),
    relation text not null,
    op "char" not null,
    before text[],
    after text[],
    life bigint,
    n integer
);

comment on table traffic.change is 'Every row change of the traffic, in an order that is right for each row.';
comment on column traffic.change.op is 'I, U, D, or T for a TRUNCATE, which is one change.'
' P is a note of the TRUNCATE of a partition, before it: before is the partition, after how the transaction is isolated.';
comment on column traffic.change.before is 'The row''s key before the change; after, the one after it.';
comment on column traffic.change.life is 'Names a row from its insertion to its deletion, whatever key it has.';
comment on column traffic.change.n is 'Counts the versions of a life: 0 as inserted, one more by each update.';

create function traffic.stamp() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' then
        new.life := old.life;
        new.n := old.n + 1;
    elsif new.life is null then -- a row that comes from another partition has one
        new.life := nextval('traffic.life');
        new.n := 0;
    end if;
    new.tx := current_setting('traffic.tx');
    return new;
end $$;

create function traffic.record_truncate() returns trigger language plpgsql as $$
begin
    insert into traffic.change (relation, op) values (tg_argv[0], 'T');
    return null;
end $$;
