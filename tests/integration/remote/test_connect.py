"""`./pgevents connect`: what the stacks' outputs tell becomes a state folder that the other commands work with.

CloudFormation and Secrets Manager are the emulator's, the databases real. In the place of AWS's command line stands a
program that is told the same and forwards ports: that a session opens through a real bastion is shown by nothing here.
"""

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import msgspec
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from db_triggers.installer import Wake, install
from local.postgres import PostgresServer, free_port
from ops.cdk import PROJECT
from ops.endpoints import Endpoints, read_endpoints
from ops.warehouse import open_warehouse
from pgevents.config import PostgresSink, load
from tests.local.redshift.stand_in import Running, running

PIPELINE = load(PROJECT / "pipeline.toml")
REGION = "eu-west-1"
EMULATOR = PROJECT / "tests" / "unit" / "infra" / "deployment" / "emulator.py"
ROOTS = os.pathsep.join(str(PROJECT / root) for root in (".", "lambdas", "lambdas/core"))
PASSWORD = r"a:b\c d"
FORWARDER = '''#!{python}
"""Stands in for `aws ssm start-session`: forwards a port as it is told to."""
import json, os, socket, sys, threading

assert sys.argv[1:3] == ["ssm", "start-session"], sys.argv
options = dict(zip(sys.argv[3::2], sys.argv[4::2]))
assert options["--document-name"] == "AWS-StartPortForwardingSessionToRemoteHost", options
assert options["--target"] == "i-0bastion" and options["--region"] == "eu-west-1", options
asked = {{name: value for name, [value] in json.loads(options["--parameters"]).items()}}
real = json.loads(os.environ["REAL_PORTS"])[asked["host"]]

def pump(one, other):
    while data := one.recv(65536):
        other.sendall(data)
    other.shutdown(socket.SHUT_WR)

with socket.create_server(("127.0.0.1", int(asked["localPortNumber"]))) as server:
    while True:
        near, _ = server.accept()
        far = socket.create_connection(("127.0.0.1", real))
        for ends in ((near, far), (far, near)):
            threading.Thread(target=pump, args=ends, daemon=True).start()
'''


class Cloud:
    """An environment as CloudFormation and Secrets Manager tell of it."""

    def __init__(self, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.folder = folder
        self.ports: dict[str, int] = {}

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The emulator, all of its services."""
        environment = {
            **os.environ,
            "PYTHONPATH": ROOTS,
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": self.url.rsplit(":", 1)[1],
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": REGION,
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "DOCKER_HOST": f"unix://{self.folder / 'no-docker'}",
            "TMPDIR": str(self.folder),
        }
        with (self.folder / "emulator.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, str(EMULATOR)], env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            until = time.monotonic() + 60
            while not answers(int(self.url.rsplit(":", 1)[1])):
                assert process.poll() is None and time.monotonic() < until
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(10)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def stack(self, name: str, outputs: dict[str, str]) -> None:
        template = {
            "Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {}}},
            "Outputs": {f"{key}Output": {"Value": value} for key, value in outputs.items()},
        }
        self.client("cloudformation").create_stack(
            StackName=f"pgevents-dev-{name}", TemplateBody=json.dumps(template)
        )

    def secret(self, user: str) -> str:
        text = json.dumps({"username": user, "password": PASSWORD, "engine": "postgres"})
        made = self.client("secretsmanager").create_secret(
            Name=f"secret-{len(self.ports)}", SecretString=text
        )
        return str(made["ARN"])

    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "PYTHONPATH": ROOTS,
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "REAL_PORTS": json.dumps(self.ports),
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        }

    def pgevents(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ops.cli", *arguments],
            env=self.environment(),
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @contextlib.contextmanager
    def connected(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """`connect` runs within, and has said that it is connected."""
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.cli", "connect", "dev", *arguments],
            env=self.environment(),
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Connected to dev"), line + process.communicate(timeout=20)[1]
            yield process
        finally:
            # Killed at once it would leave its tunnels behind, which hold its output open.
            process.terminate()
            process.communicate(timeout=20)


@pytest.fixture
def warehouse(postgres_server: PostgresServer, tmp_path: Path) -> Iterator[Running]:
    """Named as the stacks name it."""
    postgres_server.create_database("pgevents")
    try:
        with running(tmp_path, postgres_server.dsn("pgevents")) as stand_in:
            yield stand_in
    finally:
        postgres_server.drop_database("pgevents")


@pytest.fixture
def cloud(postgres_server: PostgresServer, warehouse: Running, tmp_path: Path) -> Iterator[Cloud]:
    """Both sources captured, the sink and Redshift there; the outputs tell of hosts that only the bastion reaches."""
    cloud = Cloud(tmp_path)
    (tmp_path / "bin").mkdir()
    for name, text in {
        "aws": FORWARDER.format(python=sys.executable),
        "session-manager-plugin": "#!/bin/sh\n",
    }.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    names = [*PIPELINE.sources, *PIPELINE.sinks_of(PostgresSink)]
    for name in names:
        postgres_server.create_database(name)
    try:
        with cloud.running():
            capture(postgres_server)
            describe(cloud, {name: postgres_server.dsn(name) for name in names}, warehouse)
            yield cloud
    finally:
        for name in names:
            postgres_server.drop_database(name)


def describe(cloud: Cloud, databases: dict[str, str], warehouse: Running) -> None:
    outputs = {}
    for name, dsn in databases.items():
        at = conninfo_to_dict(dsn)
        outputs[f"{name.capitalize()}Endpoint"] = f"{name}.example"
        outputs[f"{name.capitalize()}Secret"] = cloud.secret(str(at["user"]))
        cloud.ports[f"{name}.example"] = int(str(at["port"]))
    lake = {"WarehouseEndpoint": "lake.example", "WarehouseSecret": cloud.secret(warehouse.user)}
    cloud.ports["lake.example"] = warehouse.port
    cloud.stack("network", {"BastionInstance": "i-0bastion"})
    cloud.stack("databases", outputs)
    cloud.stack("warehouse", lake)
    cloud.stack("pipeline", {"Bucket": "the-bucket"})


def capture(server: PostgresServer) -> None:
    for name, source in PIPELINE.sources.items():
        with psycopg.connect(server.dsn(name), autocommit=True) as connection:
            connection.execute((PROJECT / "local" / "databases" / f"{name}.sql").read_bytes())
            silent = msgspec.structs.replace(source, doorbell="schedule")
            install(connection, name, silent, Wake("pgevents-dev-transform", REGION))


def without_tls(state: Path) -> Endpoints:
    """The servers here speak no TLS; those of AWS speak nothing else, and the folder asks for it."""
    found = read_endpoints(state)
    assert {conninfo_to_dict(dsn)["sslmode"] for dsn in found.sources.values()} == {"require"}
    assert conninfo_to_dict(found.redshift.dsn)["sslmode"] == "verify-ca"
    text = (state / "endpoints.json").read_text()
    text = text.replace("sslmode=require", "sslmode=disable").replace("sslmode=verify-ca", "sslmode=disable")
    (state / "endpoints.json").write_text(text)
    return read_endpoints(state)


def test_commands_work_on_an_environment_while_it_is_connected(cloud: Cloud, tmp_path: Path) -> None:
    state = tmp_path / "a state"
    with cloud.connected("--state", str(state)) as process:
        found = without_tls(state)
        assert (found.environment, found.bucket) == ("dev", "the-bucket")
        status = cloud.pgevents("status", "--json", "--state", str(state))
        assert (status.returncode, status.stderr) == (0, "")
        assert [each["source"] for each in json.loads(status.stdout)] == list(PIPELINE.sources)
        session = open_warehouse(found.redshift.dsn)
        assert session.run(b"select 1").rows
        session.wire.close()
        examined = cloud.pgevents("doctor", "dev", "--state", str(state))
        assert "ok       warehouse: reached" in examined.stdout, examined.stderr
        assert "ok       replica: PostgreSQL" in examined.stdout
        assert "pgevents-dev-transform: there is no such function" in examined.stdout

        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert not state.exists()
    assert not tunnels_left(found)


def test_what_is_written_is_for_this_user_alone_and_goes_with_the_terminal(
    cloud: Cloud, tmp_path: Path
) -> None:
    state = tmp_path / "a state"
    with cloud.connected("--state", str(state)) as process:
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()} == {0o600}
        assert PASSWORD not in (state / "endpoints.json").read_text()
        assert r":a\:b\\c d" in (state / "passwords").read_text()
        second = cloud.pgevents("connect", "dev", "--state", str(state))
        assert second.returncode == 2
        assert "another connection uses it" in second.stderr
        assert (state / "endpoints.json").exists()
        process.send_signal(signal.SIGHUP)
        assert process.wait(20) == 130
    assert not state.exists()


def tunnels_left(found: Endpoints) -> bool:
    ports = [int(str(conninfo_to_dict(dsn)["port"])) for dsn in found.sources.values()]
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if not any(answers(port) for port in ports):
            return False
        time.sleep(0.1)
    return True


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def test_a_tunnel_that_does_not_open_is_one_line_and_leaves_nothing(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "bin" / "aws").write_text("#!/bin/sh\nexit 254\n")
    done = cloud.pgevents("connect", "dev", "--state", str(tmp_path / "a state"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "pgevents: the tunnel ended with 254; its reason is above\n"
    assert not (tmp_path / "a state").exists()


def test_an_environment_that_was_never_deployed_is_one_line(cloud: Cloud) -> None:
    done = cloud.pgevents("connect", "stage")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "there are no stacks pgevents-stage-* in this account and eu-west-1" in done.stderr
