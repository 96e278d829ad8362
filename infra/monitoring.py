"""Monitoring: a dashboard and the alarms, in the order in which an operator asks.

How late? How much waits? What died? Does anything fail? Does it still ring? Is it silent?
The ledger's figures come from the sweep, which writes them into its log for CloudWatch to read.
"""

from collections.abc import Iterator, Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.functions import PipelineFunction
from infra.names import Names, construct_id
from infra.pipeline import Pipeline
from infra.settings import Environment, Thresholds
from pgevents.config import Pipeline as Description

_MINUTE = cdk.Duration.minutes(1)
_ABOVE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
_FINE = cloudwatch.TreatMissingData.NOT_BREACHING
_RUNBOOK = "docs/how-to/answer-an-alarm.md"


class Monitoring(cdk.Stack):
    """What operators look at and what wakes them."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        environment: Environment,
        description: Description,
        names: Names,
        pipeline: Pipeline,
    ) -> None:
        super().__init__(scope, id, description="pgevents: dashboard and alarms")
        self._names, self._thresholds = names, environment.thresholds
        self._pipeline, self._sources = pipeline, list(description.sources)
        self._conflicts = self._from_log("Conflicts", pipeline.writer, "$.retries")
        self._alarms = [*self._ledger_alarms(), *self._function_alarms(), self._dead_letters()]
        self._notify(self._thresholds)
        self._dashboard()
        self._batch_query()

    def _ledger(self, name: str, source: str, statistic: str = "max") -> cloudwatch.Metric:
        """A figure of a source's ledger, as the sweep saw it last."""
        return cloudwatch.Metric(
            namespace=self._names.metrics,
            metric_name=name,
            dimensions_map={"Source": source},
            statistic=statistic,
            period=_MINUTE,
            label=f"{source} {statistic}" if statistic.startswith("p") else source,
        )

    def _from_log(self, name: str, function: PipelineFunction, field: str) -> cloudwatch.Metric:
        """A field of the line that a function logs for each batch, as a metric."""
        made = logs.MetricFilter(
            self,
            name,
            log_group=logs.LogGroup.from_log_group_name(
                self, f"{name}Logs", f"/aws/lambda/{self._names.writer}"
            ),
            filter_pattern=logs.FilterPattern.string_value("$.message", "=", "applied"),
            metric_namespace=self._names.metrics,
            metric_name=name,
            metric_value=field,
        )
        made.node.add_dependency(function.logs)
        return made.metric(statistic="sum", period=_MINUTE)

    def _ledger_alarms(self) -> Iterator[cloudwatch.Alarm]:
        limits = self._thresholds
        for source in self._sources:
            watched: dict[str, tuple[cloudwatch.IMetric, float]] = {
                "Lag": (self._ledger("CommitToApplied", source, "p99"), limits.lag_p99_seconds * 1000),
                "Oldest": (self._ledger("OldestWaiting", source), limits.oldest_waiting_seconds),
                "Waiting": (self._ledger("EventsWaiting", source), limits.events_waiting),
                "Outbox": (self._ledger("OutboxBytes", source), limits.outbox_gigabytes * 10**9),
                "Dead": (self._ledger("DeadLetters", source), 0),
                "Doorbell": (_increase(self._ledger("DoorbellsFailed", source), source), 0),
            }
            for name, (metric, limit) in watched.items():
                yield self._alarm(construct_id(source), name, metric, limit, minutes=5, of=3)
            yield self._silence(source)

    def _silence(self, source: str) -> cloudwatch.Alarm:
        """No figure at all is silence too: then even the sweep does not run."""
        minutes = self._thresholds.silence_minutes
        return cloudwatch.Alarm(
            self,
            f"{construct_id(source)}Silence",
            alarm_description=f"pgevents: nothing of {source} was applied for {minutes} minutes: "
            f"{_RUNBOOK}#silence",
            metric=self._ledger("EventsApplied", source, "sum").with_(period=cdk.Duration.minutes(minutes)),
            threshold=0,
            comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
        )

    def _function_alarms(self) -> Iterator[cloudwatch.Alarm]:
        for name, made in self._functions().items():
            function = made.function
            yield self._alarm(name, "Errors", function.metric_errors(period=_MINUTE, statistic="sum"), 0)
            yield self._alarm(
                name,
                "Throttles",
                function.metric_throttles(period=_MINUTE, statistic="sum"),
                0,
                minutes=5,
            )
        yield self._alarm("Writer", "Conflicts", self._conflicts, self._thresholds.writer_retries, minutes=5)

    def _functions(self) -> dict[str, PipelineFunction]:
        return {"Transform": self._pipeline.transform, "Writer": self._pipeline.writer}

    def _dead_letters(self) -> cloudwatch.Alarm:
        waiting = self._pipeline.dead_letters.metric_approximate_number_of_messages_visible(
            period=_MINUTE, statistic="max"
        )
        return self._alarm("DeadLetter", "Queue", waiting, 0)

    def _alarm(
        self,
        of_what: str,
        question: str,
        metric: cloudwatch.IMetric,
        limit: float,
        minutes: int = 1,
        of: int | None = None,
    ) -> cloudwatch.Alarm:
        """An alarm whose description says where in the runbook its question is answered."""
        return cloudwatch.Alarm(
            self,
            f"{of_what}{question}",
            alarm_description=f"pgevents: {of_what} {question} above {limit:,}; dashboard "
            f"{self._names.dashboard}; {_RUNBOOK}#{question.lower()}",
            metric=metric,
            threshold=limit,
            comparison_operator=_ABOVE,
            evaluation_periods=minutes,
            datapoints_to_alarm=of or minutes,
            treat_missing_data=_FINE,
        )

    def _notify(self, thresholds: Thresholds) -> None:
        topic = sns.Topic(self, "Topic", display_name="pgevents", enforce_ssl=True)
        # A topic with a policy of its own has none of SNS's, which lets the account's alarms publish.
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        if thresholds.email:
            topic.add_subscription(subscriptions.EmailSubscription(thresholds.email))
        for alarm in self._alarms:
            alarm.add_alarm_action(actions.SnsAction(topic))
            alarm.add_ok_action(actions.SnsAction(topic))

    def _dashboard(self) -> None:
        rows: dict[str, Sequence[cloudwatch.IMetric]] = {
            "How late, commit to applied (ms)": [
                self._ledger("CommitToApplied", s, p) for s in self._sources for p in ("p50", "p99")
            ],
            "How much waits (events)": self._each("EventsWaiting"),
            "How old is the oldest (s)": self._each("OldestWaiting"),
            "Outbox (bytes)": self._each("OutboxBytes"),
            "Dead letters (events)": self._each("DeadLetters"),
            "Applied (events a minute)": [self._ledger("EventsApplied", s, "sum") for s in self._sources],
            "Doorbells rung": [_increase(metric, label) for label, metric in self._named("DoorbellsRung")],
            "Doorbells failed": [
                _increase(metric, label) for label, metric in self._named("DoorbellsFailed")
            ],
            "Errors and throttles": list(self._function_metrics()),
            "Writer conflicts": [self._conflicts],
        }
        graphs = [
            cloudwatch.GraphWidget(title=title, left=[*metrics], width=12) for title, metrics in rows.items()
        ]
        status = cloudwatch.AlarmStatusWidget(alarms=self._alarms, title="Alarms", width=24)
        pairs = [graphs[start : start + 2] for start in range(0, len(graphs), 2)]
        cloudwatch.Dashboard(
            self, "Dashboard", dashboard_name=self._names.dashboard, widgets=[[status], *pairs]
        )

    def _each(self, name: str) -> list[cloudwatch.Metric]:
        return [metric for _, metric in self._named(name)]

    def _named(self, name: str) -> Iterator[tuple[str, cloudwatch.Metric]]:
        for source in self._sources:
            yield source, self._ledger(name, source)

    def _function_metrics(self) -> Iterator[cloudwatch.Metric]:
        for name, made in self._functions().items():
            yield made.function.metric_errors(period=_MINUTE, statistic="sum", label=f"{name} errors")
            yield made.function.metric_throttles(period=_MINUTE, statistic="sum", label=f"{name} throttles")

    def _batch_query(self) -> None:
        """One batch through both functions' logs."""
        logs.QueryDefinition(
            self,
            "OneBatch",
            query_definition_name=f"{self._names.dashboard}/one batch",
            query_string=logs.QueryString(
                fields=["@timestamp", "@log", "message", "source", "batch_id", "milliseconds", "error"],
                filter_statements=["batch_id = 1"],
                sort="@timestamp asc",
            ),
            log_groups=[
                logs.LogGroup.from_log_group_name(self, f"{name}Queried", f"/aws/lambda/{function}")
                for name, function in (("Transform", self._names.transform), ("Writer", self._names.writer))
            ],
        )


def _increase(total: cloudwatch.Metric, label: str) -> cloudwatch.MathExpression:
    """By how much a running total grew in a minute."""
    return cloudwatch.MathExpression(
        expression=f"DIFF({label})", using_metrics={label: total}, period=_MINUTE, label=label
    )
