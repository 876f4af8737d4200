"""Bodies of requests and answers: read whole, within limits of each and of all that are held at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Receive, Scope, Send

from .refusal import Refusal

SUBJECT = "body"
BUFFERED_BYTES = 128 * 2**10
"""What a connection takes at once, whether the client reads or not."""
WHOLE_ANSWER = "edgeplan.whole_answer"
"""Name of our servers' extension of ASGI: a function of headers and content that answers at once, if it says so."""


class ClientGone(Exception):
    """The client closed the connection before its request was whole."""


class Bodies:
    """Counts the bytes held for all requests together.

    Only the loop's own thread may use it.

    Parameters
    ----------
    max_bytes : int
        Longest body.
    max_held_bytes : int
        Of all bodies together; what comes beyond is refused for now.
    """

    def __init__(self, max_bytes: int, max_held_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.max_held_bytes = max_held_bytes
        self.held_bytes = 0

    @contextmanager
    def holding(self) -> Iterator[Held]:
        """A request's part of what is held, given back at the end."""
        held = Held(self)
        try:
            yield held
        finally:
            self.held_bytes -= held.n_bytes


class Held:
    """What is held for one request."""

    __slots__ = ("_all", "n_bytes")

    def __init__(self, bodies: Bodies) -> None:
        self._all = bodies
        self.n_bytes = 0

    def take(self, n_bytes: int) -> None:
        """Count further bytes.

        Raises
        ------
        Refusal
            Too many are held for all requests.
        """
        total = self._all
        if total.held_bytes + n_bytes > total.max_held_bytes:
            raise Refusal(
                503, SUBJECT, f"at most {total.max_held_bytes} bytes of all requests at once", retry_after_s=1.0
            )
        total.held_bytes += n_bytes
        self.n_bytes += n_bytes

    async def read(self, receive: Receive, headers: dict[bytes, bytes]) -> bytes:
        """The whole body.

        Raises
        ------
        Refusal
            It is compressed, too long, or too much is held already.
        ClientGone
            It never came.
        """
        most = self._all.max_bytes
        encoding = headers.get(b"content-encoding", b"identity")
        if encoding != b"identity":
            raise Refusal(415, SUBJECT, "no compression", got=repr(encoding[:40].decode("latin-1")))
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and (len(length) > len(str(most)) or int(length) > most):
            raise Refusal(413, SUBJECT, f"at most {most} bytes", got=length[:20].decode("latin-1"))
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientGone
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > most:
                raise Refusal(413, SUBJECT, f"at most {most} bytes")
            self.take(len(chunk))
            chunks.append(chunk)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def send(self, scope: Scope, send: Send, content: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        """Answer; what is long is held until the client has read most of it.

        Raises
        ------
        Refusal
            Too much is held already; nothing has been sent.
        """
        long = len(content) > BUFFERED_BYTES
        if long:
            self.take(len(content))
        elif (at_once := scope.get("extensions", {}).get(WHOLE_ANSWER)) and at_once(headers, content):
            return
        headers.append((b"content-length", b"%d" % len(content)))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content, "more_body": long})
        if long:  # the end waits until the connection takes more
            await send({"type": "http.response.body", "body": b""})
