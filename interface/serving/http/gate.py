"""In front of all routes, as plain ASGI: who may ask, and the limits of bodies."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from ipaddress import ip_address

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ....formulation import EdgePlanError
from .bodies import Bodies, ClientGone, Held
from .refusal import Refusal, refuse


@dataclass(frozen=True)
class AppSettings:
    """Limits of a service.

    Attributes
    ----------
    token : str, optional
        Bearer token that every request must bring but those for health.
    max_request_bytes : int
        Longest body.
    max_held_bytes : int, optional
        Bodies of requests and long answers that are held at once; four of the longest where left out.
    host : str, optional
        Address that it listens on. On loopback without a token only requests for a loopback name are answered: a web
        page can have a name of its own lead there (DNS rebinding), but cannot make a browser ask for another.
    """

    token: str | None = None
    max_request_bytes: int = 64 * 2**20
    max_held_bytes: int | None = None
    host: str | None = None

    @property
    def names(self) -> tuple[bytes, ...] | None:
        """What a header ``Host`` may name; anything where nothing is said."""
        if self.host is None or self.token is not None or not _is_loopback(self.host):
            return None
        own = f"[{self.host}]" if ":" in self.host else self.host
        return tuple(sorted({b"localhost", b"127.0.0.1", b"[::1]", own.encode()}))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Gate:
    """Lets requests pass to an application, their bodies read already, or refuses them.

    Parameters
    ----------
    app : ASGIApp
    settings : AppSettings
    open_paths : tuple of str
        Beginnings of paths that need no token: whether a server lives is no secret, and what watches it should need
        none.
    pages : tuple of str
        Paths of pages without data of their own, which ask for the token.
    """

    def __init__(
        self, app: ASGIApp, settings: AppSettings, open_paths: tuple[str, ...], pages: tuple[str, ...]
    ) -> None:
        self._app = app
        self._open_paths = open_paths
        self._pages = pages
        self._names = settings.names
        self._wanted = None if settings.token is None else f"Bearer {settings.token}".encode()
        most = settings.max_request_bytes
        self._bodies = Bodies(most, 4 * most if settings.max_held_bytes is None else settings.max_held_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        with self._bodies.holding() as held:
            try:
                self._refuse_strangers(scope["path"], headers)
                await self.answer(scope, receive, send, headers, held)
            except ClientGone:
                return
            except (Refusal, EdgePlanError) as error:
                await refuse(error, scope, receive, send)

    async def answer(self, scope: Scope, receive: Receive, send: Send, headers: dict[bytes, bytes], held: Held) -> None:
        """Hand a request that may pass to the application."""
        if b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0":
            receive = _replayed(await held.read(receive, headers), receive)
        await self._app(scope, receive, send)

    def _refuse_strangers(self, path: str, headers: dict[bytes, bytes]) -> None:
        asked = headers.get(b"host")  # every browser sends it
        if self._names is not None and asked is not None:
            name = re.sub(rb":\d*$", b"", asked).lower()
            if name not in self._names:
                raise Refusal(
                    421,
                    "header Host",
                    b", ".join(self._names).decode(),
                    got=repr(name[:100].decode("latin-1")),
                    remedy="Ask for one of these, or give the service a token (EDGEPLAN_TOKEN): then any name will do.",
                )
        if self._wanted is None or path.startswith(self._open_paths) or path in self._pages:
            return
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._wanted):
            raise Refusal(401, "request", "a bearer token", headers={"WWW-Authenticate": "Bearer"})


def _replayed(body: bytes, receive: Receive) -> Receive:
    """What a route receives whose body has been read already."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return left.pop() if left else await receive()

    return replay
