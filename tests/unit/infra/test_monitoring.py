"""The dashboard and the alarms: what operators ask first."""

import json
import re
from typing import Any

import msgspec

from local.programs.environment import PROJECT
from tests.unit.infra.conftest import Templates
from transform.metrics import Figures

QUESTIONS = ("Lag", "Oldest", "Waiting", "Outbox", "Dead", "Doorbell", "Silence")


def test_every_source_has_an_alarm_for_every_question(templates: Templates) -> None:
    ids = [id.split("/")[1] for id in templates.resources("AWS::CloudWatch::Alarm")]
    for source in ("Accounts", "Certificates"):
        for question in QUESTIONS:
            assert [id for id in ids if id.startswith(source + question)], (source, question)
    for name in (
        "TransformErrors",
        "TransformThrottles",
        "WriterErrors",
        "WriterThrottles",
        "WriterConflicts",
    ):
        assert [id for id in ids if id.startswith(name)], name
    assert [id for id in ids if id.startswith("DeadLetterQueue")]


def test_an_outbox_of_huge_rows_is_an_alarm_in_bytes_however_few_events_wait(
    templates: Templates, settings: Any
) -> None:
    limit = settings.thresholds.outbox_gigabytes * 1_000_000_000
    alarms = templates.properties("AWS::CloudWatch::Alarm")
    found = {
        alarm["AlarmDescription"].partition("; ")[0]: alarm["Threshold"]
        for alarm in alarms
        if "OutboxBytes" in json.dumps(alarm)
    }
    assert found == {
        f"pgevents: {source} Outbox above {limit:,}": limit for source in ("Accounts", "Certificates")
    }
    assert "above 5,000,000,000" in min(found)


def test_silence_is_an_alarm_even_when_nothing_is_measured(templates: Templates) -> None:
    for id, alarm in templates.resources("AWS::CloudWatch::Alarm").items():
        silent = "Silence" in id
        expected = "breaching" if silent else "notBreaching"
        assert alarm["Properties"]["TreatMissingData"] == expected, id


def test_throttles_that_go_on_are_an_alarm_however_few(templates: Templates) -> None:
    """Each batch in flight has a writer: an event that waits for one is late by up to minutes."""
    alarms = templates.resources("AWS::CloudWatch::Alarm").items()
    found = [alarm["Properties"] for id, alarm in alarms if "Throttles" in id]
    assert [(alarm["Threshold"], alarm["DatapointsToAlarm"]) for alarm in found] == [(0, 5), (0, 5)]


def test_every_alarm_tells_the_topic(templates: Templates) -> None:
    [topic] = templates.resources("AWS::SNS::Topic")
    for alarm in templates.properties("AWS::CloudWatch::Alarm"):
        assert alarm["AlarmActions"] == [{"Ref": topic.split("/")[1]}]


def test_alarms_may_publish_to_the_topic(templates: Templates) -> None:
    [topic] = templates.resources("AWS::SNS::Topic")
    [policy] = templates.properties("AWS::SNS::TopicPolicy")
    [allowed] = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert allowed["Action"] == "sns:Publish"
    assert allowed["Resource"] == {"Ref": topic.split("/")[1]}
    assert set(allowed["Condition"]["StringEquals"]) == {"aws:SourceAccount"}


def test_every_alarm_names_its_place_in_the_runbook_and_every_place_has_an_alarm(
    templates: Templates,
) -> None:
    described = [alarm["AlarmDescription"] for alarm in templates.properties("AWS::CloudWatch::Alarm")]
    places = [re.search(r"(docs/how-to/[a-z-]+\.md)#([a-z]+)$", text) for text in described]
    assert None not in places
    named = {(place[1], place[2]) for place in places if place}
    [runbook] = {path for path, _ in named}
    headings = re.findall(r"^## (\w+)", (PROJECT / runbook).read_text(encoding="utf-8"), re.MULTILINE)
    assert {heading.lower() for heading in headings} == {anchor for _, anchor in named}


def test_the_dashboard_shows_lag_at_both_percentiles_and_everything_that_an_alarm_watches(
    templates: Templates,
) -> None:
    [dashboard] = templates.properties("AWS::CloudWatch::Dashboard")
    body = json.dumps(dashboard["DashboardBody"])
    shown = [
        "CommitToApplied",
        "EventsWaiting",
        "OldestWaiting",
        "DeadLetters",
        "DoorbellsRung",
        "DoorbellsFailed",
    ]
    for figure in [*shown, "OutboxBytes", "EventsApplied", "Conflicts", "Errors", "Throttles", "p50", "p99"]:
        assert figure in body, figure
    assert body.count("CommitToApplied") == 4


def test_a_batch_can_be_followed_through_both_logs(templates: Templates) -> None:
    [query] = templates.properties("AWS::Logs::QueryDefinition")
    assert "batch_id" in query["QueryString"]
    assert query["LogGroupNames"] == [
        f"/aws/lambda/pgevents-{templates.name}-{name}" for name in ("transform", "redshift-writer")
    ]


def test_every_figure_that_is_watched_is_one_that_the_sweep_writes(templates: Templates) -> None:
    written = set(msgspec.json.decode(msgspec.json.encode(Figures([], 0, 0, 0.0, 0, 0, 0, 0))))
    namespace = f"PgEvents/{templates.name}"
    watched = {
        metric["MetricName"]
        for alarm in templates.properties("AWS::CloudWatch::Alarm")
        for metric in [
            alarm,
            *(each.get("MetricStat", {}).get("Metric", {}) for each in alarm.get("Metrics", [])),
        ]
        if metric.get("Namespace") == namespace
    }
    assert len(watched) == 8
    assert watched - written == {"Conflicts"}
    [function] = [
        found
        for found in templates.properties("AWS::Lambda::Function")
        if found.get("FunctionName") == f"pgevents-{templates.name}-transform"
    ]
    assert function["Environment"]["Variables"]["PGEVENTS_METRICS_NAMESPACE"] == namespace
