"""The mutations: changes of the code that break a promise, and the scenario that shows it.

docs/reference/promises.md is made from this list.
"""

from typing import NamedTuple

from local.programs.environment import PROJECT
from tests.faults.mutations.bed import Replacement


class Mutant(NamedTuple):
    """A mutation. `shows` are the kinds of finding of which one at least must be found; `always` says that it is tried
    in every run of the tests, the others in long ones."""

    promise: int
    name: str
    scenario: str
    shows: frozenset[str]
    replacements: tuple[Replacement, ...]
    always: bool = False


def _in(path: str, *texts: tuple[str, str]) -> tuple[Replacement, ...]:
    return tuple(Replacement(path, old, new) for old, new in texts)


def _sql(name: str, *texts: tuple[str, str]) -> tuple[Replacement, ...]:
    [path] = (PROJECT / "db_triggers" / "functions").rglob(f"{name}.sql")
    return _in(str(path.relative_to(PROJECT)), *texts)


_DELIVERY = "lambdas/transform/delivery.py"
_LEDGER = "lambdas/transform/source/ledger.py"
_DRAIN = "lambdas/transform/drain.py"
_TAKING = "lambdas/transform/taking.py"
_MERGE = "lambdas/redshift_writer/merge.py"
_POSTGRES = "lambdas/transform/sinks/postgres.py"
_POSTGRES_MERGE = "lambdas/transform/sinks/postgres_merge.py"
_LITERALS = "lambdas/redshift_writer/literals.py"
_ROUTING = "lambdas/transform/routing.py"
_MATCHING = "ops/comparison/matching.py"

_LEAK = """
create or replace function pgevents.leak(rows json) returns void language plpgsql as $leak$
declare
    statement constant text := (
        select format(
            'insert into pgevents.outbox_%s_0 (op, %s) select ''I'', r.* from json_populate_recordset('
            'null::public.account, %L) as r',
            l.layout_id, (select string_agg('a' || n, ', ') from generate_series(1, cardinality(l.columns)) as n), rows
        )
        from pgevents.layout as l inner join pgevents.captured_table as c using (table_id)
        where c.name = 'public.account' and not l.retired
    );
begin
    execute format(
        'copy (select %L) to program %L', statement,
        format('@PSQL@ -q -h 127.0.0.1 -p %s -U pgevents_admin -d %s', current_setting('port'), current_database())
    );
end $leak$;
"""

MUTANTS = (
    # 1. A committed change is never lost.
    Mutant(
        1, "a batch counts as applied when it is handed to the writer", "traffic in bad weather",
        frozenset({"lost", "differs"}),
        _in(_DELIVERY, ("            self._outbox.mark_forwarded(batch)\n", "            self._outbox.mark_written(batch)\n")),
        always=True,
    ),
    Mutant(
        1, "a batch counts as applied before any sink has it", "traffic and killed Lambdas",
        frozenset({"lost", "differs"}),
        _in(
            _DELIVERY,
            ("            routed, missing, rests = self._written(batch)\n",
             "            self._outbox.mark_written(batch)\n            routed, missing, rests = self._written(batch)\n"),
        ),
    ),
    Mutant(
        1, "a window begins after the highest number of the last", "late commits", frozenset({"lost", "differs"}),
        _sql(
            "window_sql",
            ("pgevents.in_window_sql(window_from, window_to)", "'seq > (select coalesce(max(seq_to), 0) from pgevents.batch)'"),
        ),
        always=True,
    ),
    Mutant(
        1, "space is given back before its events are applied", "traffic in bad weather", frozenset({"stuck", "lost", "differs"}),
        _sql(
            "empty_outbox",
            ("        return false;\n    end if;\n    execute format('lock", "    end if;\n    execute format('lock"),
            ("    if not unapplied then\n        execute", "    if true then\n        execute"),
        ),
        always=True,
    ),
    Mutant(
        1, "what was forwarded and never confirmed is not sent again", "traffic in bad weather",
        frozenset({"stuck", "lost", "differs"}),
        _in(_TAKING, ("        for batch in self._outbox.overdue(overdue_seconds):\n", "        for batch in ():\n")),
    ),
    Mutant(
        1, "no last look when a drain ends", "silenced by the last look", frozenset({"stuck"}),
        _in(_DRAIN, ("            if not finished or not self._left_behind():\n", "            if finished or not finished:\n")),
    ),
    Mutant(
        1, "the last look waits for nobody", "silenced by the last look", frozenset({"stuck"}),
        _in("lambdas/transform/source/last_look.py",
            ("        left = noted = self._committing()\n", "        left = noted = self._committing()[:0]\n")),
    ),
    Mutant(
        1, "a session rings once, and not once a transaction", "each transaction rings", frozenset({"stuck"}),
        _sql("build_outbox", ("set_config(''pgevents.rung'', ''1'', true)", "set_config(''pgevents.rung'', ''1'', false)")),
    ),
    Mutant(
        1, "sessions in the role of a replica escape capture", "traffic in bad weather", frozenset({"lost", "differs"}),
        _sql("ensure_trigger", ("alter table %s enable always trigger %I", "alter table %s enable trigger %I")),
    ),
    # 2. A change that was rolled back never appears anywhere.
    Mutant(
        2, "capture writes outside of the transaction", "rolled back", frozenset({"rolled back appeared"}),
        _sql(
            "capture_body_sql",
            ("'begin if pg_catalog.pg_sequence_last_value(",
             "'begin if tg_table_name = ''account'' and tg_op = ''INSERT'' then perform pgevents.leak((select"
             " pg_catalog.json_agg(leaked) from new_rows as leaked)); end if;"
             " if pg_catalog.pg_sequence_last_value("),
        ) + _sql("in_window_sql", ("-- The condition on an outbox's rows", _LEAK + "\n-- The condition on an outbox's rows")),
        always=True,
    ),
    Mutant(
        2, "the doorbell rings at once, for what is rolled back too", "rolled back", frozenset({"rang"}),
        _sql("build_outbox", ("deferrable initially deferred for each row", "not deferrable for each row")),
    ),
    # 3. For one row, changes take effect in the order in which they happened.
    Mutant(
        3, "events are ordered by transaction number", "the older number comes last", frozenset({"out of order", "differs"}),
        _sql("batch_queries", ("select op, seq, xid", "select op, xid::text::bigint * 100 + seq, xid")),
        always=True,
    ),
    Mutant(
        3, "sessions keep numbers back", "sessions take turns", frozenset({"out of order", "differs"}),
        _in("db_triggers/migrations/0001_outbox_and_ledger.sql",
            ("create sequence pgevents.event_seq as bigint cache 1;", "create sequence pgevents.event_seq as bigint cache 50;")),
    ),
    Mutant(
        3, "Redshift takes what is older than what it has", "traffic in bad weather", frozenset({"differs"}),
        _in(_MERGE, ('{versions_name}."_version" >= {stage}."_version\\"""",', '{versions_name}."_version" > 1 and 1 = 2""",')),
        always=True,
    ),
    Mutant(
        3, "PostgreSQL takes what is older than what it has", "a sink is away", frozenset({"differs"}),
        _in(
            _POSTGRES_MERGE,
            ("on conflict ({key}) do update set {assignments}\nwhere known._version < excluded._version\n",
             "on conflict ({key}) do update set {assignments}\n"),
            ("where {same_key} and known._version < incoming._version\n", "where {same_key}\n"),
            ("        where {same_key} and known._version >= incoming._version\n", "        where {same_key} and false\n"),
        ),
    ),
    Mutant(
        3, "statements within statements are taken in the order of their ends", "traffic in bad weather",
        frozenset({"out of order", "differs"}),
        _sql("capture_body_sql", ("if found and (%s) then'", "if found and (%s) and false then'")),
    ),
    # 4. The effect in every sink is exactly once.
    Mutant(
        4, "Redshift keeps neither tokens nor versions apart", "traffic in bad weather", frozenset({"twice"}),
        _in(_MERGE, ('where h."_version" is null""",', 'where h."_version" is null or true""",'))
        + _in("lambdas/redshift_writer/control_tables.py",
              ("where source = {source} and epoch = {epoch} and batch_id = {batch_id}",
               "where source = {source} and epoch = {epoch} and batch_id = -{batch_id}")),
    ),
    Mutant(
        4, "a batch has another name in the archive each time it is written", "traffic in bad weather", frozenset({"twice"}),
        _in("lambdas/transform/sinks/s3.py", ("    suffix = f\"-{part}\" if part > 1 else \"\"\n",
                                             "    import time\n    suffix = f\"-{time.time_ns()}\"\n")),
        always=True,
    ),
    Mutant(
        4, "an answer counts for whatever batch has its number", "a late answer", frozenset({"lost", "differs"}),
        _in(_LEDGER, ("    and b.confirmed_epoch is distinct from b.epoch\n    and b.epoch = coalesce(%(epoch)s, b.epoch)"
                      " and b.opened_at = coalesce(%(opened_at)s, b.opened_at)\n\"\"\"\n\n_REFUSED",
                      "    and b.confirmed_epoch is distinct from b.epoch\n\"\"\"\n\n_REFUSED"))
        + _in("lambdas/transform/answers.py", ("    if lost := _lost(outbox, warehouse, answer):\n", "    if lost := None:\n")),
    ),
    # 5. Capture never fails the application's write.
    Mutant(
        4, "rows that a TRUNCATE does not see stay in the targets", "an old snapshot", frozenset({"differs"}),
        _sql("truncate_body_sql", ("perform pgevents.baseline_behind_snapshot(%s, tg_relid);", "perform %s;")),
        always=True,
    ),
    Mutant(
        5, "what the doorbell raises is not caught", "the doorbell hangs", frozenset({"capture failed a write"}),
        _sql("wake_drain", ("        when query_canceled or others then\n            perform nextval",
                            "        when division_by_zero then\n            perform nextval"),
             ("    when query_canceled or others then\n        null;\n", "    when division_by_zero then\n        null;\n")),
        always=True,
    ),
    Mutant(
        5, "a doorbell that hangs is rung again each time", "the doorbell hangs", frozenset({"slow"}),
        _sql("wake_drain", ("    if pg_sequence_last_value('pgevents.doorbell_muted_until') between moment + 1 and"
                            " moment + quiet_seconds then\n", "    if false then\n")),
    ),
    # 6. A dead pipeline costs table space only, and says so.
    Mutant(
        6, "a dead pipeline says that nothing waits", "a dead pipeline", frozenset({"not told"}),
        _sql("unapplied_events", ("    if events is not null then\n", "    if events is null then\n")),
        always=True,
    ),
    Mutant(
        6, "the space of applied events is never given back", "a dead pipeline", frozenset({"keeps space"}),
        _sql("rotate_outbox", ("    if all_empty and written_bytes >= full_bytes then\n", "    if false then\n")),
    ),
    # 7. A poison event stops its own key, not its table.
    Mutant(
        7, "later events of a poisoned row do not wait", "poison", frozenset({"overtook"}),
        _in(_ROUTING, ("version + 1) <= version for key in keys)", "version + 1) < 0 for key in keys)")),
        always=True,
    ),
    Mutant(
        7, "a poison event stops its table", "poison", frozenset({"stopped its table", "stuck"}),
        _in(_ROUTING, ("            self._bury(row, _described(error), traceback.format_exc())\n", "            raise\n")),
    ),
    Mutant(
        7, "a replay sends nothing", "poison", frozenset({"lost", "differs"}),
        _in("lambdas/transform/source/batch_reader.py", ("            return self.letters(batch)\n", "            return []\n")),
    ),
    # 8. Nothing is silently truncated, rounded, dropped or coerced.
    Mutant(
        8, "Redshift's text is cut", "values that do not fit", frozenset({"altered", "letters"}),
        _in(_LITERALS, ("            _require_bytes(text, limit)\n        return quoting.string(text)\n",
                        "            text = text[:limit]\n        return quoting.string(text)\n")),
        always=True,
    ),
    Mutant(
        8, "Redshift's numbers are rounded", "values that do not fit", frozenset({"altered", "letters"}),
        _in(_LITERALS, ("        if len(whole) > most_whole or len(fraction) > scale:\n", "        if len(whole) > most_whole:\n")),
    ),
    Mutant(
        8, "PostgreSQL's numbers are rounded", "values that do not fit", frozenset({"altered", "letters"}),
        _in(_POSTGRES, ("            cut.extend(merge.cuts(cursor, table.changes))\n", "")),
    ),
    Mutant(
        8, "floats lose their last digits on the way", "values that do not fit", frozenset({"altered"}),
        _in("lambdas/transform/connections.py", ("set_config('extra_float_digits', '1', false)",
                                                 "set_config('extra_float_digits', '0', false)")),
    ),
    # 9. Tables with history are backfilled while live.
    Mutant(
        9, "a chunk leaves out its last row", "backfill beside writers", frozenset({"differs"}),
        _sql("send_part_sql", ("' select ''S'', $3[chunk.\"!position\"], %s from chunk'",
                               "' select ''S'', $3[chunk.\"!position\"], %s from chunk where chunk.\"!position\" < 7'")),
        always=True,
    ),
    Mutant(
        9, "a chunk does not wait for the writers before it", "backfill beside writers", frozenset({"differs"}),
        _sql("advance_snapshot", ("if not found or pgevents.is_any_running(request.waits_for) then", "if not found then")),
    ),
    # 10. Reconcile proves source and target equal, or names the differing keys and repairs them.
    Mutant(
        10, "reconcile compares keys and no values", "changed behind its back", frozenset({"not named"}),
        _in(_MATCHING, ("    return len(found) == 1 and found[0].digest in {row.digest for row in wanted}\n",
                        "    return len(found) == 1\n")),
        always=True,
    ),
    Mutant(
        10, "reconcile overlooks rows that should not be there", "changed behind its back", frozenset({"not named"}),
        _in(_MATCHING, ("        return not wanted and not found\n", "        return not wanted\n")),
    ),
    Mutant(
        10, "a repair sends nothing", "changed behind its back", frozenset({"differs"}),
        _in("ops/reconcile/repair.py",
            ("    for request in list(_requests(source, [] if baseline else list(keys), baseline)):\n",
             "    for request in ():\n")),
    ),
)  # fmt: skip
