"""A log line is one JSON object, whatever is in it."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgevents import log


def line(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    written = capsys.readouterr().out
    assert written.endswith("\n")
    assert len(written.split("\n")) == 2
    read: dict[str, object] = json.loads(written)
    return read


@pytest.mark.parametrize(
    ("write", "level"), [(log.info, "INFO"), (log.warning, "WARNING"), (log.error, "ERROR")]
)
def test_line_has_time_level_message_and_fields(
    capsys: pytest.CaptureFixture[str], write: object, level: str
) -> None:
    assert callable(write)
    write("batch drained", source="accounts", events=3)
    written = line(capsys)
    time = datetime.fromisoformat(str(written.pop("time")))
    assert abs(datetime.now(UTC) - time) < timedelta(seconds=10)
    assert time.utcoffset() == timedelta(0)
    assert written == {"level": level, "message": "batch drained", "source": "accounts", "events": 3}


@given(message=st.text(st.characters()), value=st.text(st.characters()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_one_line(capsys: pytest.CaptureFixture[str], message: str, value: str) -> None:
    log.info(message, value=value)
    written = line(capsys)
    assert (written["message"], written["value"]) == (message, value)


@pytest.mark.parametrize(
    "value", [object(), ValueError("x"), {1: object()}, Decimal("NaN"), "half \ud800"], ids=repr
)
def test_odd_field_never_keeps_the_line_from_being_written(
    capsys: pytest.CaptureFixture[str], value: object
) -> None:
    log.error("failed", value=value)
    assert line(capsys)["message"] == "failed"
