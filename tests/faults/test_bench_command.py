"""`./pgevents bench`: finds its benches, and answers wrong input in one line."""

import pytest

from bench.faults import campaign
from bench.faults.kinds import KINDS
from bench.faults.result import Result
from ops import cli
from ops.commands import bench


def test_every_bench_has_a_summary_and_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "--help"])
    assert ended.value.code == 0
    listed = capsys.readouterr().out
    assert "faults" in bench.summaries()
    assert all(name in listed for name in bench.summaries())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["bench"], "NAME"),
        (["bench", "nothing"], "nothing"),
        (["bench", "faults", "--kinds", "no such kind"], "no such kind"),
        (["bench", "faults", "--seeds", "many"], "many"),
        (["bench", "faults", "--resume"], "--log"),
    ],
)
def test_wrong_input_is_one_line_and_code_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_a_resumed_campaign_leaves_out_what_it_has_run() -> None:
    asked = campaign.tasks([KINDS["relay killed"], KINDS["relay frozen"]], 1, (1, 2))
    done = [Result(kind="relay frozen", seed=1, outcome="held")]
    assert [(task.kind, task.seed) for task in campaign.left(asked, done)] == [
        ("relay killed", 1),
        ("relay killed", 2),
        ("relay frozen", 2),
    ]


def test_the_kinds_are_listed_without_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "faults", "--list", "--kinds", "relay"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Doorbell broken: relay killed",
        "Doorbell broken: relay frozen",
    ]
