"""What transactions are made of."""

from typing import Union

import msgspec

Parameter = str | int | float | bool | list[str | None] | None


class Statement(msgspec.Struct, frozen=True, tag=True):
    """One statement, or several in one message where it has no parameters."""

    sql: str
    parameters: tuple[Parameter, ...] = ()


class Copy(msgspec.Struct, frozen=True, tag=True):
    """COPY FROM STDIN of these rows."""

    sql: str
    rows: list[tuple[Parameter, ...]]


class Block(msgspec.Struct, frozen=True, tag=True):
    """A savepoint and the steps after it; at its end it is released, or rolled back to and then released."""

    steps: list["Step"]
    undone: bool


Step = Union[Statement, Copy, Block]  # noqa: UP007 - msgspec resolves the name within Block
