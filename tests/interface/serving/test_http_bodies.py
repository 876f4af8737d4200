"""Bodies are held within one limit for all, and given back whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

import pytest

pytest.importorskip("fastapi", reason="the server's packages are an extra")

from edgeplan.interface.serving.http.bodies import Bodies, ClientGone
from edgeplan.interface.serving.http.refusal import Refusal
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive


def coming(chunks: Iterable[bytes], gone: bool = False) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.disconnect"} if gone else {"type": "http.request", "body": b"", "more_body": False})
    left = iter(messages)

    async def receive() -> Message:
        return next(left)

    return receive


@given(st.lists(st.binary(max_size=8), max_size=6), st.booleans())
def test_what_is_held_is_what_came_and_nothing_stays(chunks: list[bytes], gone: bool) -> None:
    bodies = Bodies(max_bytes=20, max_held_bytes=30)
    whole = b"".join(chunks)
    with bodies.holding() as other:
        other.take(10)
        expected = contextlib.nullcontext()
        if len(whole) > 20:
            expected = pytest.raises(Refusal, match="at most 20 bytes")
        elif gone:
            expected = pytest.raises(ClientGone)
        with expected, bodies.holding() as held:
            body = asyncio.run(held.read(coming(chunks, gone), {}))
            assert (body, bodies.held_bytes) == (whole, 10 + len(whole))
        assert bodies.held_bytes == 10
    assert bodies.held_bytes == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({b"content-length": b"21"}, 413),
        ({b"content-length": b"9" * 5000}, 413),
        ({b"content-encoding": b"gzip"}, 415),
    ],
)
def test_a_header_says_enough_to_refuse(headers: dict[bytes, bytes], status: int) -> None:
    with Bodies(20, 100).holding() as held, pytest.raises(Refusal) as caught:
        asyncio.run(held.read(coming([b"never read"]), headers))
    assert caught.value.status == status


def test_a_long_answer_is_held_until_the_client_has_read_it() -> None:
    content = bytes(2**20)
    bodies = Bodies(2**20, 3 * 2**19)

    async def answer_two() -> None:
        read = asyncio.Event()
        sent: list[Message] = []

        async def send(message: Message) -> None:
            if message.get("body") == b"":  # as a connection whose client does not read
                await read.wait()
            sent.append(message)

        async def answer() -> None:
            with bodies.holding() as held:
                await held.send({"type": "http"}, send, content, [])

        first = asyncio.create_task(answer())
        await asyncio.sleep(0)
        assert bodies.held_bytes == len(content)
        with pytest.raises(Refusal) as caught:
            await answer()
        assert caught.value.status == 503
        read.set()
        await first
        assert [message.get("body", b"") for message in sent] == [b"", content, b""]

    asyncio.run(answer_two())
    assert bodies.held_bytes == 0
