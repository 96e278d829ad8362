"""Messages survive however the network cuts them."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from local.redshift import wire
from local.redshift.wire import Message

MESSAGES = st.lists(
    st.builds(Message, st.sampled_from([b"S", b"E", b"Z", b"D", b"T", b"C"]), st.binary(max_size=30)),
    max_size=12,
)


@given(MESSAGES, st.lists(st.integers(1, 9), min_size=1))
def test_stream_is_the_same_whatever_pieces_it_comes_in(messages: list[Message], sizes: list[int]) -> None:
    stream = b"".join(message.encoded() for message in messages)

    async def read() -> list[Message | bytes]:
        reader = asyncio.StreamReader()
        found: list[Message | bytes] = []

        async def feed() -> None:
            position = turn = 0
            while position < len(stream):
                size = sizes[turn % len(sizes)]
                reader.feed_data(stream[position : position + size])
                position, turn = position + size, turn + 1
                await asyncio.sleep(0)
            reader.feed_eof()

        feeding = asyncio.create_task(feed())
        async for part in wire.read_messages(reader, b"SEZ"):
            found.append(part)
        await feeding
        return found

    parts = asyncio.run(read())
    assert b"".join(part.encoded() if isinstance(part, Message) else part for part in parts) == stream
    assert [part for part in parts if isinstance(part, Message)] == [m for m in messages if m.kind in b"SEZ"]


def test_error_survives_being_read_and_written() -> None:
    error = wire.error("XX000", "1023", "a detail")
    assert wire.encode_error(wire.error_fields(error.body)) == error
    assert wire.error_fields(error.body)["D"] == "a detail"


def test_startup_parameters_survive() -> None:
    values = {"user": "ü", "database": "d", "options": ""}
    assert wire.parameters(wire.encode_parameters(values)) == values
