"""What passes through: batches grow with the load, so an event costs less the more there are."""

import msgspec
import pytest

from ops.costs.peers import LOADS, lambda_a_row, through_ours
from ops.costs.prices import SECONDS_A_MONTH, Line, PriceList, load_prices, total
from ops.costs.standing import standing, virtual_processors
from ops.costs.traffic import Deployment, deployment, flow, traffic

MADE = Deployment(
    sources=2,
    transform_memory=1024,
    writer_memory=512,
    sweeps_a_minute=2,
    archives=1,
    rpu=8,
    through="endpoints",
)


@pytest.fixture(scope="module")
def prices() -> PriceList:
    return load_prices()


def usd(lines: list[Line], item: str) -> float:
    [found] = [each.usd for each in lines if each.item.startswith(item)]
    return found


def test_without_load_only_the_sweeps_cost_something(prices: PriceList) -> None:
    lines = traffic(0, MADE, prices)
    sweeps = 2 / 60 * SECONDS_A_MONTH
    assert usd(lines, "Lambda requests") == pytest.approx(sweeps * 0.0000002)
    assert usd(lines, "Lambda time, transform") == pytest.approx(sweeps * 0.3 * 0.0000133334)
    assert usd(lines, "Lambda time, redshift_writer") == 0
    assert usd(lines, "Redshift Serverless") == 0


def test_a_rare_event_is_a_batch_of_its_own(prices: PriceList) -> None:
    """One in ten thousand seconds: three requests each, and a minute of Redshift."""
    through = flow(0.0001, MADE, prices)
    assert through.batches == pytest.approx(0.0001, rel=1e-3)
    awake = 0.0001 * 60 * 730 * 8 * 0.375
    assert usd(traffic(0.0001, MADE, prices), "Redshift Serverless") == pytest.approx(awake, rel=1e-2)


def test_one_writer_bounds_the_batches(prices: PriceList) -> None:
    through = flow(1000, MADE, prices)
    assert through.writer_busy == pytest.approx(1)
    assert through.batches < 1 / (prices.use("writer_seconds") + prices.use("redshift_seconds"))
    assert through.is_possible


def test_writers_that_wait_are_paid_for(prices: PriceList) -> None:
    idle, busy = flow(0.001, MADE, prices), flow(1000, MADE, prices)
    assert idle.writers == pytest.approx(idle.writer_busy, rel=1e-2)
    assert busy.writers == pytest.approx(prices.use("writer_queue"), rel=1e-2)


def test_beyond_the_writer_the_model_says_so(prices: PriceList) -> None:
    assert not flow(50_000, MADE, prices).is_possible


def test_at_a_hundred_events_a_second_ours_costs_a_tenth_of_a_lambda_a_row(prices: PriceList) -> None:
    assert through_ours(100, MADE, prices).usd_a_million <= lambda_a_row(100, MADE, prices).usd_a_million / 10


def test_a_lambda_a_row_waits_for_redshift_as_long_as_the_writer_does(prices: PriceList) -> None:
    made = msgspec.structs.replace(MADE, archives=0)
    seconds = sum(map(prices.use, ("writer_seconds", "writer_event_seconds", "redshift_seconds")))
    each = 0.0000002 + seconds * 0.25 * 0.0000133334
    assert lambda_a_row(1, made, prices).usd_a_million == pytest.approx(each * 1e6)
    assert lambda_a_row(1, MADE, prices).usd_a_million == pytest.approx(each * 1e6 + 5)


def test_more_events_cost_more_and_each_of_them_less(prices: PriceList) -> None:
    loads = (0.01, 1, 10, 100, 1000, 10_000)
    costs = [total(traffic(load, MADE, prices)) for load in loads]
    each = [cost / load for cost, load in zip(costs, loads, strict=True)]
    assert costs == sorted(costs)
    assert each == sorted(each, reverse=True)


def test_a_change_a_minute_keeps_a_serverless_warehouse_awake_most_of_the_time(prices: PriceList) -> None:
    always = 730 * 8 * 0.375
    assert 0.6 * always < usd(traffic(1 / 60, MADE, prices), "Redshift Serverless") < 0.7 * always
    assert usd(traffic(10, MADE, prices), "Redshift Serverless") == pytest.approx(always)


def test_what_a_template_makes_is_read_off_it(prices: PriceList) -> None:
    template = {
        "Resources": {
            "Accounts": {
                "Type": "AWS::RDS::DBInstance",
                "Properties": {
                    "DBInstanceClass": "db.t4g.medium",
                    "MultiAZ": True,
                    "AllocatedStorage": "100",
                    "ManageMasterUserPassword": True,
                },
            },
            "Target": {
                "Type": "AWS::RDS::DBProxyTargetGroup",
                "Properties": {"DBInstanceIdentifiers": [{"Ref": "Accounts"}]},
            },
            "Sweep": {
                "Type": "AWS::Events::Rule",
                "Properties": {"ScheduleExpression": "rate(2 minutes)"},
            },
        }
    }
    lines = standing({"databases": template}, prices)
    assert {each.item: round(each.usd, 2) for each in lines if each.group == "databases"} == {
        "RDS db.t4g.medium, two zones": round(2 * 730 * 0.065, 2),
        "RDS storage, 100 GB, two zones": 23.0,
        "its secret": 0.4,
    }
    assert usd(lines, "RDS Proxy of db.t4g.medium") == pytest.approx(2 * 730 * 0.015)
    made = deployment({"databases": template}, archives=0)
    assert (made.sources, made.sweeps_a_minute, made.rpu, made.through) == (1, 0.5, 0, "")


@pytest.mark.parametrize(
    ("kind", "count"),
    [("db.t4g.medium", 2), ("db.m8g.large", 2), ("db.r8g.xlarge", 4), ("db.r8g.16xlarge", 64)],
)
def test_a_proxy_is_paid_by_the_processors_of_its_database(kind: str, count: int) -> None:
    assert virtual_processors(kind) == count


def test_beyond_what_redshift_commits_a_lambda_a_row_says_so(prices: PriceList) -> None:
    assert lambda_a_row(1, MADE, prices).note == ""
    assert "not possible" in lambda_a_row(LOADS[2], MADE, prices).note
