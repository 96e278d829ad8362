"""The pipeline: both Lambdas, what lies between them, and the sweep that finds what a doorbell lost."""

import aws_cdk as cdk
import jsii
import msgspec
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.acknowledgements import acknowledge, objects_finding
from infra.bucket import FORWARDED, STAGED, archive_prefixes, pipeline_bucket
from infra.capture import Triggers
from infra.databases import Database, database_names
from infra.functions import PipelineFunction, Place, Shape
from infra.names import Names, construct_id, function_arn
from infra.network import Network
from infra.outputs import output
from infra.packages import Packages
from infra.removal import without_snapshot
from infra.settings import Environment
from infra.warehouse import Warehouse
from pgevents.config import Pipeline as Description
from pgevents.settings import Connections

_RETRIES = 2
_EVENT_AGE = cdk.Duration.hours(6)
_DEAD_LETTER_DAYS = 14
_BELOW_PREFIX = "A batch has a name of its own; nothing narrower than its prefix can be granted."


@jsii.implements(lambda_.IDestination)
class NamedFunction:
    """A function as a destination, by its ARN alone; CDK's own would grant all of its versions too."""

    def __init__(self, arn: str) -> None:
        self._arn = arn

    def bind(
        self,
        scope: Construct,
        fn: lambda_.IFunction,
        *,
        type: lambda_.DestinationType,  # noqa: A002
    ) -> lambda_.DestinationConfig:
        """What CDK asks a destination for."""
        return lambda_.DestinationConfig(destination=self._arn)


class Pipeline(cdk.Stack):
    """From the doorbell to Redshift."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        environment: Environment,
        description: Description,
        names: Names,
        packages: Packages,
        network: Network,
        databases: dict[str, Database],
        warehouse: Warehouse,
    ) -> None:
        super().__init__(scope, id, description="pgevents: Lambdas, queue, bucket, schedule, triggers")
        self._environment, self._description, self._names = environment, description, names
        self._databases, self._warehouse = databases, warehouse
        self._place = Place(network.vpc, network.private, network.groups.seen_from(self).functions)
        self.bucket = pipeline_bucket(self, environment.storage, description)
        output(self, "Bucket", self.bucket.bucket_name)
        self.dead_letters = self._queue()
        output(self, "DeadLetterQueueUrl", self.dead_letters.queue_url)
        self.transform = self._transform(packages)
        self.writer = self._writer(packages)
        self._connect()
        self._sweep()
        if environment.capture.install:
            Triggers(self, "Triggers", environment, description, names, packages, self._place, databases)

    def _queue(self) -> sqs.Queue:
        """Where Lambda puts an event that it gave up. A person reads it: the sweep sends the batch again."""
        queue = sqs.Queue(
            self,
            "DeadLetters",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(_DEAD_LETTER_DAYS),
            removal_policy=without_snapshot(self._environment.storage.keep),
        )
        acknowledge(queue, {"SQS3": "It is the queue for dead letters itself."})
        return queue

    def _transform(self, packages: Packages) -> PipelineFunction:
        settings = self._environment.functions
        made = PipelineFunction(
            self,
            "Transform",
            Shape(
                name=self._names.transform,
                package=packages.transform,
                handler="transform.handler.handle",
                memory=settings.transform_memory,
                timeout_seconds=settings.transform_timeout_seconds,
                log_days=settings.log_days,
                environment={
                    "PGEVENTS_CONNECTIONS": msgspec.json.encode(self._connections()).decode(),
                    "PGEVENTS_BUCKET": self.bucket.bucket_name,
                    "PGEVENTS_WRITER_FUNCTION": self._names.writer,
                    "PGEVENTS_METRICS_NAMESPACE": self._names.metrics,
                    "PGEVENTS_SWEEP_SECONDS": str(settings.sweep_minutes * 60),
                },
            ),
            self._place,
        )
        for name in database_names(self._description):
            made.allow(["rds-db:connect"], [self._database_user(self._databases[name])])
        prefixes = [FORWARDED, *archive_prefixes(self._description)]
        made.allow(["s3:PutObject"], [self.bucket.arn_for_objects(f"{prefix}/*") for prefix in prefixes])
        # Of a source in shards, a drain calls those of the other shards.
        called = [self._names.writer, *([self._names.transform] if self._description.shards_beside() else [])]
        made.allow(["lambda:InvokeFunction"], [function_arn(self, name) for name in called])
        acknowledge(made.role, {objects_finding(self.bucket, prefix): _BELOW_PREFIX for prefix in prefixes})
        return made

    def _connections(self) -> Connections:
        proxied = {name: self._databases[name].proxied for name in database_names(self._description)}
        sources = {name: proxied.pop(name) for name in self._description.sources}
        return Connections(sources, proxied)

    def _database_user(self, database: Database) -> str:
        return self.format_arn(
            service="rds-db",
            resource="dbuser",
            resource_name=f"{database.proxy_resource_id}/{database.proxied.user}",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )

    def _writer(self, packages: Packages) -> PipelineFunction:
        settings, reach = self._environment.functions, self._warehouse.reach
        made = PipelineFunction(
            self,
            "Writer",
            Shape(
                name=self._names.writer,
                package=packages.redshift_writer,
                handler="redshift_writer.handler.handle",
                memory=settings.writer_memory,
                timeout_seconds=settings.writer_timeout_seconds,
                log_days=settings.log_days,
                reserved_concurrency=self._description.writers(),
                environment={
                    "PGEVENTS_REDSHIFT": msgspec.json.encode(reach.connection).decode(),
                    "PGEVENTS_BUCKET": self.bucket.bucket_name,
                    "PGEVENTS_COPY_ROLE": self._warehouse.copy_role.role_arn,
                },
            ),
            self._place,
        )
        made.allow(["secretsmanager:GetSecretValue"], [reach.secret_arn])
        made.allow(["s3:GetObject"], [self.bucket.arn_for_objects(f"{FORWARDED}/*")])
        made.allow(["s3:PutObject"], [self.bucket.arn_for_objects(f"{STAGED}/*")])
        prefixes = (FORWARDED, STAGED)
        acknowledge(made.role, {objects_finding(self.bucket, prefix): _BELOW_PREFIX for prefix in prefixes})
        return made

    def _connect(self) -> None:
        """What becomes of an event after its function."""
        dead = destinations.SqsDestination(self.dead_letters)
        self.transform.function.configure_async_invoke(
            on_failure=dead, retry_attempts=_RETRIES, max_event_age=_EVENT_AGE
        )
        # By its ARN and not by itself: the functions name each other, which no order of creation allows.
        noted_by = function_arn(self, self._names.transform)
        self.writer.allow(["lambda:InvokeFunction"], [noted_by])
        self.writer.function.configure_async_invoke(
            on_success=NamedFunction(noted_by),
            on_failure=dead,
            retry_attempts=_RETRIES,
            max_event_age=_EVENT_AGE,
        )
        self.writer.function.node.find_child("EventInvokeConfig").node.add_dependency(self.transform.function)
        # A batch in a form that is new must not meet a writer that does not know it yet.
        self.transform.follow(self.writer)
        self._let_copy_read()

    def _let_copy_read(self) -> None:
        policy = iam.Policy(
            self,
            "CopyReads",
            roles=[self._warehouse.copy_role],
            statements=[
                iam.PolicyStatement(
                    actions=["s3:GetObject"], resources=[self.bucket.arn_for_objects(f"{STAGED}/*")]
                ),
                iam.PolicyStatement(
                    actions=["s3:ListBucket"],
                    resources=[self.bucket.bucket_arn],
                    conditions={"StringLike": {"s3:prefix": f"{STAGED}/*"}},
                ),
            ],
        )
        acknowledge(policy, {objects_finding(self.bucket, STAGED): _BELOW_PREFIX})

    def _sweep(self) -> None:
        """A rule a source, so that a source that is slow or down keeps nobody else waiting."""
        every = cdk.Duration.minutes(self._environment.functions.sweep_minutes)
        for name in self._description.sources:
            rule = events.Rule(
                self,
                f"Sweep{construct_id(name)}",
                description=f"pgevents: what a lost doorbell left in {name}",
                schedule=events.Schedule.rate(every),
            )
            rule.add_target(
                targets.LambdaFunction(
                    self.transform.function,
                    event=events.RuleTargetInput.from_object({"kind": "sweep", "source": name}),
                    retry_attempts=0,  # the next one comes in a minute
                )
            )
