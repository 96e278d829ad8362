"""The Lambdas' environment is read whole, or refused with the name of the variable."""

import json

import pytest

from pgevents.errors import InputError
from pgevents.settings import Connection, TransformSettings, WriterSettings

ACCOUNTS = {"host": "db", "port": 5432, "database": "accounts", "user": "drain", "secret": "accounts/drain"}
REPLICA = {
    "host": "db",
    "port": 5433,
    "database": "replica",
    "user": "sink",
    "iam": True,
    "sslmode": "verify-full",
}
TRANSFORM = {
    "PGEVENTS_CONNECTIONS": json.dumps({"sources": {"accounts": ACCOUNTS}, "sinks": {"replica": REPLICA}}),
    "PGEVENTS_BUCKET": "bucket",
    "PGEVENTS_WRITER_FUNCTION": "writer",
}


def test_transform_s_environment_is_read() -> None:
    settings = TransformSettings.read(TRANSFORM)
    assert settings.connections.sources == {
        "accounts": Connection(
            "db", 5432, "accounts", "drain", secret="accounts/drain", iam=False, sslmode="prefer"
        )
    }
    assert settings.connections.sinks["replica"].iam is True
    assert settings.connections.sinks["replica"].sslmode == "verify-full"
    assert (settings.bucket, settings.writer_function) == ("bucket", "writer")


def test_writer_s_environment_is_read() -> None:
    assert WriterSettings.read({"PGEVENTS_REDSHIFT": json.dumps(ACCOUNTS)}).redshift.database == "accounts"


def test_writer_copies_when_it_is_given_a_role_and_then_needs_a_bucket() -> None:
    environment = {
        "PGEVENTS_REDSHIFT": json.dumps(ACCOUNTS),
        "PGEVENTS_COPY_ROLE": "arn:aws:iam::1:role/copy",
    }
    settings = WriterSettings.read({**environment, "PGEVENTS_BUCKET": "bucket"})
    assert (settings.bucket, settings.copy_role) == ("bucket", "arn:aws:iam::1:role/copy")
    with pytest.raises(InputError, match="PGEVENTS_BUCKET"):
        WriterSettings.read(environment)


@pytest.mark.parametrize("name", TRANSFORM)
def test_missing_variable_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"^environment variable {name} is not set$"):
        TransformSettings.read({other: value for other, value in TRANSFORM.items() if other != name})


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("{", "Input data was truncated"),
        ("{}", "Object missing required field `host`"),
        (json.dumps({**ACCOUNTS, "port": "5432"}), "Expected `int`, got `str` - at `$.port`"),
        (json.dumps({**ACCOUNTS, "sslmod": "x"}), "Object contains unknown field `sslmod`"),
    ],
)
def test_wrong_variable_is_named_with_what_is_wrong(value: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        WriterSettings.read({"PGEVENTS_REDSHIFT": value})
    assert str(caught.value) == f"environment variable PGEVENTS_REDSHIFT: {problem}"
