"""The price list: `prices.toml`, typed."""

import tomllib
from pathlib import Path

import msgspec

from pgevents.errors import InputError

FILE = Path(__file__).with_name("prices.toml")
SECONDS_A_MONTH = 730 * 3600
GB = 1e9


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars for one `unit`. `source` is the page that says so, `as_of` the day of that."""

    usd: float
    unit: str
    source: str
    as_of: str
    note: str = ""

    @property
    def is_verified(self) -> bool:
        """Whether it was read somewhere."""
        return self.source.startswith("https://")


class Assumption(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure about use, and where it comes from."""

    value: float
    unit: str
    origin: str


class PriceList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that the model stands on. `region` is that of the prices."""

    region: str
    hours_a_month: float
    prices: dict[str, Price]
    usage: dict[str, Assumption]

    def usd(self, name: str) -> float:
        """A price. Raises InputError naming the one that is missing."""
        if name not in self.prices:
            raise InputError(f"{FILE}: there is no price {name!r}; look it up and add [prices.{name!r}]")
        return self.prices[name].usd

    def per_month(self, name: str) -> float:
        """What something that is paid by the hour costs when it is there all month. Raises as `usd`."""
        return self.usd(name) * self.hours_a_month

    def use(self, name: str) -> float:
        """An assumption. Raises InputError naming the one that is missing."""
        if name not in self.usage:
            raise InputError(f"{FILE}: there is no assumption {name!r}; add [usage.{name}]")
        return self.usage[name].value


class Line(msgspec.Struct, frozen=True):
    """One line of a bill: so many units of a price, a month.

    `group` is what it is for: databases, warehouse (both would be there without the pipeline) or pipeline.
    """

    group: str
    item: str
    quantity: float
    price: str
    usd: float


def load_prices(path: Path = FILE) -> PriceList:
    """Raises InputError naming what is wrong in the file."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), PriceList)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}; restore it, or correct it") from error


def line(prices: PriceList, group: str, item: str, quantity: float, price: str) -> Line:
    """So many units at a price."""
    return Line(group, item, quantity, price, quantity * prices.usd(price))


def hourly(prices: PriceList, group: str, item: str, count: float, price: str) -> Line:
    """So many of something that is paid by the hour, there all month."""
    return line(prices, group, item, count * prices.hours_a_month, price)


def total(lines: list[Line], *groups: str) -> float:
    """The sum of these groups, of all without one."""
    return sum(each.usd for each in lines if not groups or each.group in groups)


def unverified(prices: PriceList, lines: list[Line]) -> list[str]:
    """The prices among the lines that could not be looked up, each once."""
    return sorted({each.price for each in lines if not prices.prices[each.price].is_verified})
