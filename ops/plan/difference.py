"""One difference between what pipeline.toml asks for and what there is."""

from typing import Literal

import msgspec

Action = Literal["add", "change", "remove", "blocked"]
"""`blocked`: a deployment would fail, or leave what does not fit to the dead letters."""


class Difference(msgspec.Struct, frozen=True):
    """What would be done, and to what: `where` is like accounts.public.account, or warehouse.account."""

    action: Action
    where: str
    what: str
