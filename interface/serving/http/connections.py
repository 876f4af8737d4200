"""Connections of clients that are slow, silent, too many or hostile: each has a time for what it owes, and a limit.

uvicorn waits without end for a header, for a body and for a client that does not read; it takes headers of any length,
and its limit of connections refuses those that are open as well. Here every connection that owes something (the rest
of a request, the reading of an answer) is closed with a reason when its time is over. Where there are too many, the
one that has been waiting for its client longest makes room, as in nginx (``ngx_drain_connections``), those that never
had an answer first: who holds connections without using them takes no place from others.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from .bodies import BUFFERED_BYTES, WHOLE_ANSWER
from .places import Connections
from .refusal import said

_NEVER = float("inf")
_UNREAD_BYTES = 256 * 2**10
_LINGER_S = 2.0
"""For a client to read why it was refused: were its connection closed while it sends, it would hear only of that."""


class Connection(HttpToolsProtocol):
    """One client's connection: uvicorn's, with limits.

    Parameters
    ----------
    connections : Connections
    **of_server
        What uvicorn gives to its own.

    Attributes
    ----------
    due_s : float
        When its client must have done what is waited for, on the monotonic clock.
    """

    def __init__(self, connections: Connections, **of_server: Any) -> None:
        super().__init__(**of_server)
        self._all = connections
        self._limits = connections.limits
        self.due_s = _NEVER
        self._in_header = self._in_body = False
        self._unanswered = 0  # requests whose header is whole
        self._came_bytes = 0  # of this request, from its second packet on
        self._wrong = 400, "HTTP/1.1"
        self._answered = False  # once at least
        self._running: RequestResponseCycle | None = None
        self._deaf = False  # nothing that comes is looked at any more

    @property
    def _serving(self) -> bool:
        """Whether a whole request is not answered yet."""
        return self._unanswered > (self._in_body and not self.cycle.response_complete)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place, or be refused."""
        room = self._all.make_room()
        stream = cast(asyncio.Transport, transport)  # servers of streams make no others
        super().connection_made(stream)
        stream.set_write_buffer_limits(high=BUFFERED_BYTES)
        self._all.open.add(self)
        self._wait(self._limits.header_s)
        if not room:
            self._say(503, f"fewer than {self._limits.max_connections} connections")
            self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._deaf = True
        self._all.open.discard(self)
        self._all.leave(self)
        self._disconnect()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, as long as that makes sense."""
        if self._deaf or self.parser is None:
            return
        self._came_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._finish()  # no other protocol is spoken here: the request is answered, what follows is not for us
        except httptools.HttpParserError:
            self._give_up(*self._wrong)
        else:
            most = self._limits.max_header_bytes
            if self._in_header and self._came_bytes > most:
                self._give_up(431, f"a header of at most {most} bytes")
            elif self._in_body and self._came_bytes > most + 2 * self._limits.max_body_bytes:
                self._give_up(413, f"a body of at most {self._limits.max_body_bytes} bytes")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_header = True
        self._came_bytes = 0
        self.due_s = time.monotonic() + self._limits.header_s

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a line of the header. Those after a body say nothing that matters here."""
        if self._in_header:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A request is known; its body may follow."""
        most = self._limits.max_header_bytes
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > most:
            self._wrong = 431, f"a header of at most {most} bytes"
            raise ValueError  # which stops the parser
        super().on_headers_complete()
        self._unanswered += 1
        self._in_header, self._in_body = False, True
        self.due_s += self._limits.body_s

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        cast(dict[str, Any], cycle.scope)["extensions"] = {WHOLE_ANSWER: partial(self._answer, cycle)}
        super()._start_asgi_task(cycle, app)

    def _answer(self, cycle: RequestResponseCycle, headers: list[tuple[bytes, bytes]], content: bytes) -> bool:
        """Write an answer of status 200 at once, as uvicorn does in several steps. False where it has to wait."""
        if self.flow.write_paused or cycle.response_started or cycle.disconnected:
            return False
        lines = [b"%b: %b\r\n" % header for header in headers]
        closing = b"" if cycle.keep_alive else b"connection: close\r\n"
        length = b"content-length: %d\r\n\r\n" % len(content)
        cycle.response_started = cycle.response_complete = True
        self.transport.writelines((b"".join((STATUS_LINE[200], *lines, closing, length)), content))
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        return True

    def on_body(self, body: bytes) -> None:
        """Hand on a part of a body. Reading stops where a route does not keep up, which uvicorn does too soon."""
        cycle = self.cycle
        if cycle.response_complete:
            return
        if not cycle.body:
            cycle.body = cast(bytearray, body)  # which uvicorn hands on as it is: no copy
        elif isinstance(cycle.body, bytearray):
            cycle.body += body
        else:
            cycle.body = bytearray(cycle.body) + body
        if len(cycle.body) > _UNREAD_BYTES:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """A request is whole: now it is not the client who is waited for."""
        super().on_message_complete()
        self._in_body = False
        if self._unanswered:
            self.due_s = _NEVER
            self._all.leave(self)
        else:  # it was refused before it was whole
            self._wait(self._limits.idle_s)

    def on_response_complete(self) -> None:
        """A request is answered, perhaps before it was whole."""
        self._unanswered -= 1
        self._answered = True
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._wait(self._limits.read_s)
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        if not self._serving:
            if self._deaf:
                self._close()
            elif self._in_header or self._in_body:
                self._wait(max(0.0, self.due_s - time.monotonic()))
            else:
                self._wait(self._limits.idle_s)

    def pause_writing(self) -> None:
        """The client does not read as fast as answers are written."""
        super().pause_writing()
        self._wait(self._limits.read_s)

    def resume_writing(self) -> None:
        """It has read."""
        super().resume_writing()
        if self._serving:
            self.due_s = _NEVER
            self._all.leave(self)

    def shutdown(self) -> None:
        """Answer what is being served; a request that is not whole yet is not waited for."""
        if self._serving:
            super().shutdown()
        elif self._in_header or self._in_body:
            self._give_up(503, "a server that goes on")
        else:
            self.transport.close()

    def overdue(self, now_s: float) -> None:
        """What was waited for did not come in time."""
        if self._deaf or self.transport.is_closing() or self.flow.write_paused:
            self._abort()
        elif self._serving:  # reading was stopped meanwhile
            self.due_s = now_s + self._limits.body_s
        elif self._in_body or self._in_header or self.cycle is None:
            self._give_up(408, f"the whole {'body' if self._in_body else 'header'} in time")
        else:
            self.transport.close()

    def make_room(self) -> None:
        """Be closed for others' sake."""
        if self._deaf or self.transport.get_write_buffer_size():
            self._abort()
            return
        if self._in_body or self._in_header or self.cycle is None:
            self._say(408, "a whole request sooner, for others need the connection")
        self._close()

    def _give_up(self, status: int, expected: str) -> None:
        """Say why, and close; but answer first what came whole before."""
        self._deaf = True
        if not self._serving:
            self._say(status, expected)
            self._wait(_LINGER_S)
            self.transport.write_eof()

    def _finish(self) -> None:
        """Close after the last answer."""
        self._deaf = True
        if self._serving:
            self.cycle.keep_alive = False
        else:
            self._close()

    def _say(self, status: int, expected: str) -> None:
        """Answer the request that is not whole, unless that was begun."""
        if self.transport.is_closing():
            return
        if self._in_body:
            if self.cycle.response_started:
                return
            self._disconnect()  # what serves it must not answer once more
        body = said(f"connection: expected {expected}.")
        head = STATUS_LINE[status] + b"content-type: application/json\r\nconnection: close\r\n"
        self.transport.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)

    def _close(self) -> None:
        self._deaf = True
        self.due_s = time.monotonic() + _LINGER_S
        self._all.leave(self)
        self.transport.close()

    def _abort(self) -> None:
        self._disconnect()
        self.transport.abort()

    def _disconnect(self) -> None:
        """Tell what serves a request that nobody hears its answer; uvicorn tells it the last of several requests."""
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()

    def _wait(self, within_s: float) -> None:
        """For the client, who has that long."""
        self.due_s = time.monotonic() + within_s
        self._all.wait(self, known=self._answered)
