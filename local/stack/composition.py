"""The parts of a stack and how they are connected.

sources ──▶ Lambda service ──▶ PostgreSQL sink, Redshift stand-in
 │  ▲            │  ▲
 │  └─ triggers  │  └─ relays (doorbell `notify`)
 │               ▼
 └─ console     S3, SQS and Secrets
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from local.emulator import ACCESS_KEY, REGION, Emulator
from local.packages import build, check_import, runtime
from local.postgres import SUPERUSER, PostgresServer
from local.programs import Program
from local.redshift import Configuration as RedshiftConfiguration
from local.stack import databases, functions
from local.stack.pace import Pace
from local.stack.parts import ModuleProgram
from local.stack.ports import Ports, source_part
from local.stack.state import StateFolder, write
from ops.endpoints import Endpoints, Redshift
from pgevents.config import Pipeline, PostgresSink, RedshiftSink, Sink

HOST = functions.HOST
DEFAULT_PACE = Pace()


class Stack:
    """Every process of a pipeline on this machine. Building it starts nothing."""

    def __init__(
        self, project: Path, pipeline: Pipeline, state: StateFolder, ports: Ports, pace: Pace = DEFAULT_PACE
    ) -> None:
        self._project = project
        self._pace = pace
        self._pipeline = pipeline
        self._state = state
        self._ports = ports
        self.sinks = _names(pipeline, PostgresSink, "replica")
        self.warehouse = _names(pipeline, RedshiftSink, "warehouse")[0]

        self.sources = {
            name: self._server(source_part(name), ports.source(name)) for name in pipeline.sources
        }
        self.sink_server = self._server("sinks", ports["postgres"])
        self.redshift_server = self._server("redshift", ports["redshift server"])
        self.redshift = self._redshift()
        self.aws = Emulator(state.path / "aws", ports["aws"], state.log("aws"))
        self.functions = self._functions()
        self.relays = [
            self._relay(name) for name, source in pipeline.sources.items() if source.doorbell == "notify"
        ]
        self.console = self._console()

    @property
    def lambda_url(self) -> str:
        """Where the Invoke API is."""
        return f"http://{HOST}:{self._ports['lambda']}"

    def servers(self) -> list[PostgresServer]:
        """The PostgreSQL servers."""
        return [*self.sources.values(), self.sink_server, self.redshift_server]

    def parts(self) -> Iterator[Program]:
        """Everything that runs, in the order of its start; it stops the other way round."""
        yield from self.servers()
        yield from (self.aws, self.redshift, self.functions, *self.relays, self.console)

    def endpoints(self) -> Endpoints:
        """Where a user finds it all."""
        warehouse = f"postgresql://{SUPERUSER}@{HOST}:{self._ports['redshift']}/{self.warehouse}"
        return Endpoints(
            sources={name: server.dsn(name) for name, server in self.sources.items()},
            postgres=self.sink_server.dsn(self.sinks[0]),
            redshift=Redshift(warehouse),
            lambda_=self.lambda_url,
            console=f"http://{HOST}:{self._ports['console']}/",
            aws=self.aws.url,
            bucket=functions.BUCKET,
            sinks={name: self.sink_server.dsn(name) for name in self.sinks},
        )

    def prepare(self) -> None:
        """Makes what nothing has to run for: data folders, packages, configuration files.

        Raises InputError, among others for a transform that does not import.
        """
        with ThreadPoolExecutor() as pool:
            packages = pool.submit(self._build_packages)
            folders = [pool.submit(server.initdb) for server in self.servers()]
        self._configure(packages.result())
        for made in folders:
            made.result()

    def make_databases(self) -> None:
        """Makes the databases that are missing, the sources' with their tables. The servers run."""
        with ThreadPoolExecutor() as pool:
            made: list[Future[bool]] = [
                pool.submit(databases.make_source, server, name, self._project)
                for name, server in self.sources.items()
            ]
            made += [pool.submit(self.sink_server.create_database, name) for name in self.sinks]
            made.append(pool.submit(self.redshift_server.create_database, self.warehouse))
        for each in made:
            each.result()

    def make_resources(self) -> None:
        """Makes the bucket, the dead-letter queue and the secrets that are missing. The emulator runs."""
        self.aws.create_bucket(functions.BUCKET)
        self.aws.create_queue(functions.DEAD_LETTERS)
        for name in (*self.sources, *self.sinks, self.warehouse):
            self.aws.put_secret(functions.secret_name(name), {"username": SUPERUSER, "password": "local"})

    def capture(self) -> None:
        """Installs the triggers in every source. Raises InputError when one cannot be captured."""
        for name, server in self.sources.items():
            databases.capture(server, name, self._pipeline, self.lambda_url)

    def _server(self, name: str, port: int) -> PostgresServer:
        folder = name.replace(" ", "-")
        return PostgresServer(
            self._state.server(folder),
            port,
            name=f"PostgreSQL ({name})",
            log=self._state.log(folder),
            settings=self._pace.settings,
        )

    def _redshift(self) -> Program:
        return ModuleProgram(
            "Redshift stand-in",
            "local.redshift",
            [str(self._redshift_file)],
            self._state.log("redshift-stand-in"),
            "ready on",
            {},
        )

    def _functions(self) -> Program:
        return ModuleProgram(
            "Lambda service",
            "local.lambda_service",
            [str(self._functions_file)],
            self._state.log("lambda"),
            "ready on",
            {},
        )

    def _relay(self, source: str) -> Program:
        arguments = [
            "--source",
            source,
            "--dsn",
            self.sources[source].dsn(source),
            "--function",
            functions.TRANSFORM,
        ]
        aws = {
            "AWS_ENDPOINT_URL_LAMBDA": self.lambda_url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        }
        return ModuleProgram(
            f"relay of {source}", "ops.relay", arguments, self._state.log(f"relay-{source}"), "", aws
        )

    def _console(self) -> Program:
        arguments = ["--state", str(self._state.path), "--port", str(self._ports["console"])]
        return ModuleProgram(
            "console", "ops.console", arguments, self._state.log("console"), "console ready", {}
        )

    @property
    def _redshift_file(self) -> Path:
        return self._state.path / "redshift.json"

    @property
    def _functions_file(self) -> Path:
        return self._state.path / "lambda.json"

    def _connections(self) -> functions.Databases:
        return functions.Databases(
            sources={name: functions.connection(self._ports.source(name), name) for name in self.sources},
            sinks={name: functions.connection(self._ports["postgres"], name) for name in self.sinks},
            redshift=functions.connection(self._ports["redshift"], self.warehouse),
        )

    def _build_packages(self) -> functions.Packages:
        out = self._state.path / "packages"
        packages = functions.Packages(
            transform=build("transform", self._project, out),
            writer=build("redshift_writer", self._project, out),
            runtime=runtime(self._project),
        )
        transform_environment = functions.transform_environment(self._connections(), self._pace)
        check_import(
            packages.transform,
            packages.runtime,
            functions.TRANSFORM_HANDLER,
            transform_environment,
            self._pipeline.routed_tables(),
            self._pace.imports,
        )
        return packages

    def _configure(self, packages: functions.Packages) -> None:
        configuration = functions.service_configuration(
            self._state.path / "lambda",
            self._ports["lambda"],
            self.aws.url,
            packages,
            self._connections(),
            self._pace,
            self._pipeline.shards_beside(),
        )
        write(self._functions_file, configuration)
        behind = self.redshift_server.dsn(self.warehouse)
        redshift = RedshiftConfiguration(
            self._ports["redshift"], behind, self._ports["redshift control"], self.aws.url
        )
        write(self._redshift_file, redshift)


def _names(pipeline: Pipeline, kind: type[Sink], otherwise: str) -> list[str]:
    """The sinks of a kind. Where there are none the part runs nevertheless: a pipeline may get one later."""
    return list(pipeline.sinks_of(kind)) or [otherwise]
