"""The price list: every price says from when and from where it is."""

import datetime
from pathlib import Path

import pytest

from ops.costs.prices import PriceList, line, load_prices, total, unverified
from pgevents.errors import InputError

UNVERIFIED = "from memory, unverified"


@pytest.fixture(scope="module")
def prices() -> PriceList:
    return load_prices()


def test_every_price_names_its_source_and_its_day(prices: PriceList) -> None:
    for name, price in prices.prices.items():
        assert price.usd > 0, name
        assert price.is_verified or price.source == UNVERIFIED, name
        assert datetime.date.fromisoformat(price.as_of) <= datetime.date.today(), name
    assert prices.region == "us-east-1"


def test_every_assumption_says_where_it_comes_from(prices: PriceList) -> None:
    for name, assumption in prices.usage.items():
        assert assumption.value > 0, name
        assert assumption.origin.startswith(
            ("guessed", "measured here", "counted", "pipeline.toml", "AWS's")
        ), name


def test_a_price_that_is_missing_is_asked_for(prices: PriceList) -> None:
    with pytest.raises(InputError, match=r"no price 'rds\.db\.x9\.huge'; look it up and add"):
        prices.usd("rds.db.x9.huge")


def test_a_list_that_cannot_be_read_names_its_mistake(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text("region = 1\nhours_a_month = 730\n[prices]\n[usage]\n")
    with pytest.raises(InputError, match=r"prices\.toml: Expected `str`, got `int`"):
        load_prices(path)


def test_unverified_prices_of_a_bill_are_named_once(prices: PriceList) -> None:
    lines = [line(prices, "pipeline", "a", 2, "alarm"), line(prices, "pipeline", "b", 1, "alarm")]
    lines.append(line(prices, "warehouse", "c", 1, "secret"))
    assert unverified(prices, lines) == ["alarm"]
    assert total(lines, "pipeline") == pytest.approx(0.3)
    assert total(lines) == pytest.approx(0.7)
