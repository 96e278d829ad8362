"""The custom resource: when CloudFormation calls the installer again, and when it removes anything."""

import re
import shutil
from pathlib import Path

import msgspec

from infra.packages import sql_hash
from infra.settings import Environment
from tests.unit.infra.conftest import Templates, command_line
from trigger_installer.handler import Event


def test_every_source_has_its_triggers_and_they_go_only_when_told(
    templates: Templates, settings: Environment
) -> None:
    found = templates.properties("Custom::PgEventsTriggers")
    assert [properties["Source"] for properties in found] == ["accounts", "certificates"]
    told = "true" if settings.capture.remove_on_delete else "false"
    assert {properties["RemoveOnDelete"] for properties in found} == {told}
    assert told == ("true" if templates.name == "dev" else "false")


def test_they_are_installed_again_when_the_sql_changes(templates: Templates, tmp_path: Path) -> None:
    now = sql_hash(command_line.PROJECT / "db_triggers")
    assert {properties["Sql"] for properties in templates.properties("Custom::PgEventsTriggers")} == {now}
    changed = tmp_path / "db_triggers"
    shutil.copytree(command_line.PROJECT / "db_triggers", changed)
    assert sql_hash(changed) == now
    with (changed / "functions" / "doorbell" / "wake_drain.sql").open("a") as file:
        file.write("-- one more line\n")
    assert sql_hash(changed) != now


def test_they_are_installed_again_after_another_major_version_of_the_database(templates: Templates) -> None:
    found = templates.properties("Custom::PgEventsTriggers")
    [engine, *_] = templates.properties("AWS::RDS::DBInstance")
    assert {properties["PostgresVersion"] for properties in found} == {engine["EngineVersion"].split(".")[0]}
    assert templates.needs["pipeline"] >= {"databases"}  # so the instance is upgraded by then


def test_the_installer_takes_the_call_that_the_documentation_has_for_it() -> None:
    page = (command_line.PROJECT / "docs/how-to/upgrade-and-roll-back.md").read_text()
    [payload] = re.findall(r"--payload '(.*)'", page)
    asked = msgspec.json.decode(payload, type=Event)
    assert (asked.request_type, asked.resource_properties.source) == ("Update", "accounts")


def test_sources_that_differ_in_pipeline_toml_differ_in_the_template(templates: Templates) -> None:
    found = templates.properties("Custom::PgEventsTriggers")
    assert len({properties["Captured"] for properties in found}) == len(found)
