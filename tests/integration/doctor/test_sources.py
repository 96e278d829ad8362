"""Each defect of a source is brought about, and named with what to do; a source that is well has none."""

import time
from dataclasses import dataclass

import msgspec
import psycopg
import pytest

from db_triggers.installer import install
from local import aws_extensions
from ops.doctor.finding import Limits, exit_code
from ops.doctor.server import server_findings
from pgevents.config import Pipeline, PostgresSink, Route, Source, Table
from tests.integration.doctor.conftest import NAME, PIPELINE, WAKE, Patient

FUNCTION = "pgevents-transform"


def test_a_source_that_is_well_has_no_ills(patient: Patient) -> None:
    found = patient.findings()
    assert [each for each in found if each.level != "ok"] == []
    assert exit_code(found) == 0
    said = "\n".join(each.what for each in found)
    for words in (
        "may capture public.account",
        f"may invoke {FUNCTION}",
        "no dead letters",
        "connections are taken",
    ):
        assert words in said


def test_a_database_without_capture_is_an_error(patient: Patient) -> None:
    patient.run("drop event trigger pgevents_follow_ddl; drop event trigger pgevents_follow_drop")
    patient.run("drop schema pgevents cascade")
    assert patient.ills() == ["error shop: capture is not installed"]


def test_what_the_installation_would_refuse_is_an_error(patient: Patient) -> None:
    tables = (*PIPELINE.sources[NAME].tables, Table("public.ghost"))
    pipeline = Pipeline({NAME: Source(tables=tables)}, PIPELINE.sinks, PIPELINE.routes)
    assert patient.ills(pipeline=pipeline)[0].startswith(
        "error shop: sources.shop.tables[1]: table public.ghost does not exist in"
    )


def test_a_route_that_does_not_fit_is_an_error(patient: Patient) -> None:
    routes = (Route("shop.public.account", ("replica",), omit=("nmae",)),)
    pipeline = Pipeline(PIPELINE.sources, {"replica": PostgresSink()}, routes)
    assert patient.ills(pipeline=pipeline) == [
        "error shop: routes[0].omit[0]: public.account has no captured column nmae"
    ]


def test_a_missing_extension_is_an_error(patient: Patient) -> None:
    aws_extensions.uninstall(patient.connection)
    missing, uncallable = patient.ills()
    assert missing == "error shop: the extension aws_lambda is missing"
    assert uncallable.startswith(f'error shop: cannot invoke {FUNCTION}: schema "aws_lambda" does not exist')


def test_a_function_that_cannot_be_invoked_is_an_error(patient: Patient) -> None:
    aws_extensions.inject(patient.connection, "error")
    [ill] = patient.ills()
    assert ill.startswith(f"error shop: cannot invoke {FUNCTION}: ")


def test_a_lambda_service_that_refuses_is_an_error(patient: Patient) -> None:
    patient.lambda_.status = 404
    [ill] = patient.ills()
    assert ill.startswith("error shop: ")
    assert FUNCTION in ill


def test_asking_whether_the_doorbell_would_ring_does_not_ring_it(patient: Patient) -> None:
    rung = "select last_value from pgevents.doorbell_rung"
    before = patient.connection.execute(rung).fetchone()
    patient.findings()
    assert patient.connection.execute(rung).fetchone() == before


def test_failed_rings_are_a_warning_and_a_muted_doorbell_an_error(patient: Patient) -> None:
    aws_extensions.inject(patient.connection, "error")
    patient.run("insert into account values (1, 'a')")
    aws_extensions.inject(patient.connection, None)
    muted, failed = patient.ills()
    assert muted.startswith("error shop: the doorbell is muted for ")
    assert failed == "warning shop: 1 of 1 doorbells failed since capture was installed"


def test_capture_that_is_not_as_the_file_has_it_is_a_warning(patient: Patient) -> None:
    patient.run('drop trigger "!pgevents_delete" on account')
    assert patient.ills() == [
        "warning shop.public.account: not as pipeline.toml has it: add triggers delete on account, missing or disabled"
    ]


def test_event_triggers_that_are_off_or_gone_are_an_error_that_says_how_they_come_back(
    patient: Patient,
) -> None:
    """As after a major version of RDS, which wants them to be dropped before."""
    patient.run("alter event trigger pgevents_follow_ddl disable")
    assert patient.ills() == [
        "error shop: does not follow changes of its tables: event triggers pgevents_follow_ddl are gone or off"
    ]
    patient.run("drop event trigger pgevents_follow_ddl; drop event trigger pgevents_follow_drop")
    [lost] = [each for each in patient.findings() if each.level != "ok"]
    assert lost.level == "error"
    assert "pgevents_follow_ddl, pgevents_follow_drop" in lost.what
    assert "./pgevents up" in lost.do
    install(patient.connection, NAME, PIPELINE.sources[NAME], WAKE, PIPELINE.routes)
    assert patient.ills() == []


def test_capture_that_has_ended_is_an_error_with_its_reason(patient: Patient) -> None:
    patient.run("alter table account drop column id cascade")
    ills = patient.ills()
    assert any(ill.startswith("error shop.public.account: its capture has ended: ") for ill in ills)


def test_a_key_that_nothing_keeps_unique_is_a_warning(patient: Patient) -> None:
    patient.run("alter table account drop constraint account_pkey, add primary key (id) deferrable")
    assert patient.ills() == [
        "warning shop.public.account: nothing keeps its key unique, and two rows with one key are one row in the sinks"
    ]


def test_an_outbox_that_grows_is_a_warning_then_an_error(patient: Patient) -> None:
    patient.run("insert into account select g, 'a' from generate_series(1, 1000) as g")
    for limits, level in (((1_000, 10**9), "warning"), ((1, 1_000), "error")):
        [ill] = patient.ills(Limits(outbox_bytes=limits))
        assert ill.startswith(f"{level} shop: the outbox takes ")


def test_a_batch_that_waits_is_a_warning_then_an_error(patient: Patient) -> None:
    patient.run("insert into account values (1, 'a')")
    patient.run("select pgevents.open_batches(1000)")
    time.sleep(0.05)
    for limits, level in (((0.01, 100.0), "warning"), ((0.001, 0.01), "error")):
        [ill] = patient.ills(Limits(waiting_seconds=limits))
        assert ill.startswith(f"{level} shop: 1 events wait, the oldest unapplied batch for ")


def test_dead_letters_are_a_warning(patient: Patient) -> None:
    patient.run("insert into account values (1, 'a')")
    patient.run("select pgevents.open_batches(1000)")
    patient.run(
        "insert into pgevents.dead_letter (batch_id, epoch, seq, table_name, event_type, keys, event, error)"
        " select batch_id, epoch, seq_from, 'public.account', 'INSERT', '[]', '{}', 'no' from pgevents.batch"
    )
    assert patient.ills() == ["warning shop: 1 events are dead letters"]


def test_a_pause_is_a_warning(patient: Patient) -> None:
    patient.run("insert into pgevents.paused (what, paused_by) values ('replica', 'ann')")
    [ill] = patient.ills()
    assert ill.startswith("warning shop: replica is paused since ")
    assert ill.endswith(" by ann")


def test_connections_that_run_out_are_a_warning_then_an_error(patient: Patient) -> None:
    for limits, level in (((0.001, 0.9), "warning"), ((0.0, 0.001), "error")):
        [ill] = patient.ills(Limits(connections_share=limits))
        assert ill.startswith(f"{level} shop: ")
        assert "connections are taken" in ill


@dataclass(frozen=True)
class Role:
    name: str
    dsn: str


@pytest.fixture
def role(patient: Patient) -> "Role":
    name = f"operator_{patient.connection.info.dbname}"
    patient.run(f"create role {name} login")
    parts = psycopg.conninfo.conninfo_to_dict(patient.connection.info.dsn)
    return Role(name, psycopg.conninfo.make_conninfo(**{**parts, "user": name}))


def test_a_role_without_rights_is_told_each_that_it_lacks(patient: Patient, role: Role) -> None:
    try:
        with psycopg.connect(role.dsn, autocommit=True) as connection:
            source = PIPELINE.sources[NAME]
            found = [*server_findings(connection, NAME, source, PIPELINE.routes, Limits())]
        said = [each.what for each in found if each.level == "error"]
        assert f"role {role.name} may not create event triggers" in said
        assert f"role {role.name} may not call aws_lambda.invoke" in said
        assert any(each.startswith(f"role {role.name} may not create a schema in") for each in said)
        assert any("does not own public.account" in each for each in said)
    finally:
        patient.run(f"drop role {role.name}")


def test_replication_is_a_right_that_nothing_needs(patient: Patient, role: Role) -> None:
    patient.run(f"alter role {role.name} replication")
    try:
        with psycopg.connect(role.dsn, autocommit=True) as connection:
            found = [*server_findings(connection, NAME, PIPELINE.sources[NAME], (), Limits())]
        [ill] = [each for each in found if "REPLICATION" in each.what]
        assert (ill.level, ill.do) == ("warning", f"alter role {role.name} noreplication")
    finally:
        patient.run(f"drop role {role.name}")


def test_a_slot_that_nobody_reads_is_named_for_the_wal_it_keeps(patient: Patient) -> None:
    slot = f"left_{patient.connection.info.dbname[:20]}"
    patient.run(f"select pg_create_physical_replication_slot('{slot}', true)")
    try:
        [ill] = patient.ills()
        assert ill.startswith(
            f"warning shop: the replication slot {slot}, none of ours, is not read and keeps back "
        )
    finally:
        patient.run(f"select pg_drop_replication_slot('{slot}')")


def test_parameters_of_rds_are_read_where_there_are_any(patient: Patient) -> None:
    """A setting with a dot in its name is anybody's: so a session can look like one on RDS."""
    said = [each.what for each in patient.findings()]
    assert any(each.startswith("no server of RDS") for each in said)
    patient.run("set rds.force_ssl = '0'")
    patient.run("set rds.custom_dns_resolution = '1'")
    found = patient.findings()
    assert "rds.custom_dns_resolution is on" in [each.what for each in found]
    assert [each.what for each in found if each.level == "warning"] == ["rds.force_ssl is 0"]


def test_findings_are_written_as_json(patient: Patient) -> None:
    found = patient.findings()
    assert len(msgspec.json.decode(msgspec.json.encode(found))) == len(found)
