"""Connections of a load client: HTTP/1.1, one request at a time on each, kept for the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import httptools

from ...runtime_bridge.clock import now_us
from .protocol.inference import HEADER_LENGTH

_LENGTH_HEADER = HEADER_LENGTH.lower().encode()
_IDLE_US = 4e6
"""A connection that was idle for longer is not used again: servers close theirs after 5 s and more, and a request that
meets the closing is lost."""


@dataclass(frozen=True)
class Answer:
    """An answer as it came.

    Attributes
    ----------
    status : int
    body : bytes
    json_length : int
        So much of the body is JSON; tensors follow.
    """

    status: int
    body: bytes
    json_length: int


class Connections:
    """Connections to one server, of which each carries one request at a time.

    Nothing is ever sent twice: where a connection breaks, what became of the request is unknown.

    Parameters
    ----------
    host : str
    port : int
    limit : int
        Most that are open at a time; who finds none free waits.
    timeout_s : float
        Longest wait for an answer.
    """

    def __init__(self, host: str, port: int, limit: int, timeout_s: float) -> None:
        self._host, self._port = host, port
        self._timeout_s = timeout_s
        self._free = asyncio.Semaphore(limit)
        self._idle: list[_Connection] = []

    async def exchange(self, parts: Sequence[bytes], on_sending: Callable[[], None] | None = None) -> Answer:
        """Send a request, and wait for its answer.

        Parameters
        ----------
        parts : sequence of bytes
            Of the request, one after another.
        on_sending : callable, optional
            Called when there is a connection, before anything is sent.

        Raises
        ------
        OSError, TimeoutError
            No answer came.
        """
        async with self._free:
            connection = self._kept()
            try:
                async with asyncio.timeout(self._timeout_s):
                    if connection is None:
                        loop = asyncio.get_running_loop()
                        _, connection = await loop.create_connection(_Connection, self._host, self._port)
                    if on_sending is not None:
                        on_sending()
                    answer = await connection.ask(parts)
            except BaseException:
                if connection is not None:
                    connection.close()
                raise
            connection.idle_from_us = now_us()
            if connection.usable:
                self._idle.append(connection)
            else:
                connection.close()
            return answer

    def close(self) -> None:
        """Close those that carry nothing."""
        for connection in self._idle:
            connection.close()

    def _kept(self) -> _Connection | None:
        """The connection that was used last, if it can be used again."""
        oldest_us = now_us() - _IDLE_US
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_from_us >= oldest_us:
                return connection
            connection.close()
        return None


class _Connection(asyncio.Protocol):
    """One connection with one request at a time on it."""

    def __init__(self) -> None:
        self.usable = True
        self.idle_from_us = 0.0
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._parser: Any = None
        self._chunks: list[bytes] = []
        self._json_length = -1

    def ask(self, parts: Sequence[bytes]) -> asyncio.Future[Answer]:
        """Send a request; the future is that of its answer."""
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self._parser, self._chunks, self._json_length = httptools.HttpResponseParser(self), [], -1
        self._transport.writelines(parts)
        return self._waiting

    def close(self) -> None:
        """Close it; a request that waits is not answered."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has the methods but not the class

    def data_received(self, data: bytes) -> None:
        try:
            if self._parser is not None:
                self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"no HTTP: {error}"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        self._fail(ConnectionError(str(exc) if exc else "the server closed the connection"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, as the two below."""
        if name.lower() == _LENGTH_HEADER and value.isdigit():
            self._json_length = int(value)

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        waiting, self._waiting = self._waiting, None
        self.usable = self.usable and self._parser.should_keep_alive()
        if waiting is not None and not waiting.done():
            body = b"".join(self._chunks)
            length = self._json_length if self._json_length >= 0 else len(body)
            waiting.set_result(Answer(self._parser.get_status_code(), body, length))

    def _fail(self, error: ConnectionError) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)
