"""The trigger_installer Lambda: CloudFormation's create, update and delete become install and uninstall.

Whatever it raises becomes the deployment's error, word for word, as far as CloudFormation takes it.
"""

import os
from pathlib import Path
from typing import Any, Literal

import msgspec

from db_triggers.installer import Wake, install, uninstall
from pgevents import log
from pgevents.config import load
from pgevents.errors import InputError
from trigger_installer.connect import SecretReader, connect
from trigger_installer.failures import error_fitted, fitted, statement_named
from trigger_installer.settings import InstallerSettings

_NAMES_BYTES = 600
"""Of one attribute of the answer."""


class Properties(msgspec.Struct, frozen=True, rename="pascal"):
    """What the stack says of one source; CloudFormation passes every value as text."""

    source: str
    remove_on_delete: Literal["true", "false"]


class Event(msgspec.Struct, frozen=True, rename="pascal"):
    """What the custom resource's provider passes on."""

    request_type: Literal["Create", "Update", "Delete"]
    resource_properties: Properties


def handle(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Lambda's entry point, called by the custom resource's provider.

    Raises InputError when the event is not CloudFormation's or a source cannot be captured, TransientError
    when the database or its secret cannot be reached.
    """
    pipeline = Path(os.environ.get("LAMBDA_TASK_ROOT", ".")) / "pipeline.toml"
    return answer(event, InstallerSettings.read(os.environ), pipeline, _read_secret)


def answer(
    event: dict[str, Any], settings: InstallerSettings, pipeline: Path, read_secret: SecretReader
) -> dict[str, Any]:
    """Does what the event asks for; its attributes name what was changed. Raises as `handle` does."""
    try:
        asked = msgspec.convert(event, Event)
    except msgspec.ValidationError as error:
        raise InputError(f"event is no custom resource's: {error}: {str(event)[:200]}") from error
    properties = asked.resource_properties
    with error_fitted():
        if asked.request_type == "Delete":
            changed = _remove(properties, settings, read_secret)
        else:
            changed = _install(properties.source, settings, pipeline, read_secret)
    log.info("triggers", request=asked.request_type, source=properties.source, **changed)
    data = {word: fitted(names, _NAMES_BYTES) for word, names in changed.items()}
    # Never another identity: CloudFormation would see a replacement and delete what was just installed.
    return {"PhysicalResourceId": f"pgevents-triggers-{properties.source}", "Data": data}


def _install(
    name: str, settings: InstallerSettings, pipeline: Path, read_secret: SecretReader
) -> dict[str, str]:
    description = load(pipeline)
    sources = description.sources
    if name not in sources or name not in settings.connections.sources:
        raise InputError(f"source {name} is not in the package's pipeline.toml; deploy the whole stack again")
    wake = Wake(settings.transform_function, settings.region)
    with connect(settings.connections.sources[name], read_secret) as connection, statement_named(name):
        if sources[name].doorbell == "invoke":
            connection.execute(_EXTENSION)
        done = install(connection, name, sources[name], wake, description.routes)
    return {word.title(): ", ".join(names) for word, names in msgspec.structs.asdict(done).items()}


def _remove(properties: Properties, settings: InstallerSettings, read_secret: SecretReader) -> dict[str, str]:
    """Events that nobody has applied yet go with the triggers: so only when the environment says so."""
    source = settings.connections.sources.get(properties.source)
    if properties.remove_on_delete == "false" or source is None:
        return {"Removed": "false"}
    with connect(source, read_secret) as connection, statement_named(properties.source):
        uninstall(connection)
    return {"Removed": "true"}


def _read_secret(name: str) -> str:
    import boto3

    return str(boto3.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])


# Where the extension is not offered, the pre-flight check of the installation says so in its own words.
_EXTENSION = """
do $$
begin
    if exists (select from pg_available_extensions where name = 'aws_lambda') then
        create extension if not exists aws_lambda cascade;
    end if;
end
$$
"""
