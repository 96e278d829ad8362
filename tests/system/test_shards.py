"""A source in shards: Lambdas beside each other take a backlog, and it arrives as it would by one."""

from pathlib import Path

import pytest

from local.stack import running
from local.stack.project import make_project
from ops.comparison import compare_sinks
from ops.endpoints import connect
from ops.status.waiting import wait_until_applied
from pgevents.config import load
from tests.system import traffic
from tests.system.conftest import PIPELINE

SHARDS = 4
CHANGES = 20_000


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose batches are so small that traffic makes a backlog."""
    in_shards = PIPELINE.replace('doorbell = "invoke"', f'doorbell = "invoke"\nshards = {SHARDS}')
    return make_project(
        tmp_path / "a project", {"accounts": traffic.TABLES}, f"{in_shards}\n[drain]\nbatch_events = 50\n"
    )


@pytest.mark.timeout(600)
def test_changes_of_concurrent_writers_arrive_everywhere_whichever_lambda_takes_them(
    project: Path, tmp_path: Path
) -> None:
    with running(project, tmp_path / "its state") as endpoints:
        traffic.write_concurrently(endpoints.sources["accounts"], 8, CHANGES, seed=5)
        assert wait_until_applied(endpoints.sources, 300.0).everything_applied
        with connect("accounts", endpoints.sources["accounts"]) as source:
            split = dict(
                source.execute(
                    "select shard, count(*) from pgevents.batch where shards = 4 group by shard"
                ).fetchall()
            )
            events = source.execute("select sum(events) from pgevents.batch").fetchone()
        assert set(split) == set(range(SHARDS))
        assert events is not None
        assert events[0] >= CHANGES
        compared = list(compare_sinks(load(project / "pipeline.toml"), endpoints))
        assert [difference for each in compared for difference in each.differences] == []
    log = (tmp_path / "its state" / "lambda" / "logs" / "lambda" / "pgevents-transform.log").read_text()
    assert '"kind":"shard"' in log
