-- Makes the two outbox tables of a layout. Writers fill one half while the drain empties the other.
--
-- b1, b2, … hold the row before the change, a1, a2, … the row after it, in the layout's order: an outbox has
-- columns of its own types, so nothing the owner does to the captured table is ever held up by it. No index:
-- the drain reads whole halves, and an index would cost every write more than it saves a read.
create or replace function pgevents.build_outbox(shape pgevents.layout)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    half integer;
begin
    foreach half in array '{0,1}'::integer[] loop
        execute format(
            'create table pgevents.outbox_%1$s_%2$s ('
            ' seq bigint not null default nextval(''pgevents.event_seq''),'
            ' xid xid8 not null default pg_current_xact_id(),'
            ' captured_at timestamptz not null default clock_timestamp(),'
            ' op "char" not null,'
            ' rings boolean not null default ('
            ' pg_catalog.current_setting(''pgevents.rung'', true) is distinct from ''1'''
            ' and pg_catalog.set_config(''pgevents.rung'', ''1'', true) operator(pg_catalog.=) ''1''),'
            ' %3$s, %4$s)'
            ' with (autovacuum_enabled = false, toast.autovacuum_enabled = false)',
            shape.layout_id, half,
            pgevents.column_list(shape, 'b%1$s %3$s'), pgevents.column_list(shape, 'a%1$s %3$s')
        );
        -- Fires for the first event of a transaction alone, the one that rings: the setting is local to it and
        -- returns to what it was when a savepoint is rolled back, together with the queued ring. By a column,
        -- since a default is planned once a session and the condition of a trigger is read anew by each
        -- statement.
        execute format(
            'create constraint trigger ring after insert on pgevents.outbox_%s_%s'
            ' deferrable initially deferred for each row when (new.rings) execute function pgevents.ring()',
            shape.layout_id, half
        );
        -- In a session with session_replication_role = replica, too.
        execute format('alter table pgevents.outbox_%s_%s enable always trigger ring', shape.layout_id, half);
    end loop;
end
$$;

revoke all on function pgevents.build_outbox(pgevents.layout) from public;
