"""In front of all routes, as plain ASGI: the token, the limits of bodies, and the route that infers."""

from __future__ import annotations

import hmac
import logging
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ....formulation import EdgePlanError
from ..engine import Engine
from ..protocol.infer import asked_model, infer, served_model
from .bodies import Bodies, ClientGone
from .refusal import Refusal, refuse

_OPEN_PATHS = ("/v2/health/",)
"""Paths that need no token: whether a server lives is no secret, and what watches it should need none."""
_PAGES = ("/edgeplan", "/edgeplan/")
"""Pages without data of their own, which ask for the token."""


_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class AppSettings:
    """Limits of the service.

    Attributes
    ----------
    token : str, optional
        Bearer token that every request must bring but those for health.
    max_request_bytes : int
        Longest body.
    max_held_bytes : int, optional
        Bodies of requests and long answers that are held at once; four of the longest where left out.
    """

    token: str | None = None
    max_request_bytes: int = 64 * 2**20
    max_held_bytes: int | None = None


class Front:
    """Lets requests pass to an application, or answers them.

    Parameters
    ----------
    app : ASGIApp
        Gets what is not for inference, with its body read already.
    engine : Engine
    settings : AppSettings
    """

    def __init__(self, app: ASGIApp, engine: Engine, settings: AppSettings) -> None:
        self._app = app
        self._engine = engine
        self._wanted = None if settings.token is None else f"Bearer {settings.token}".encode()
        most = settings.max_request_bytes
        self._bodies = Bodies(most, 4 * most if settings.max_held_bytes is None else settings.max_held_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        headers: dict[bytes, bytes] = dict(scope["headers"])
        asked = asked_model(path)
        with self._bodies.holding() as held:
            try:
                if self._wanted is not None:
                    self._refuse_strangers(path, headers)
                if asked is not None:
                    if scope["method"] != "POST":
                        raise Refusal(405, "inference", "POST", got=scope["method"][:20], headers={"Allow": "POST"})
                    model = served_model(self._engine, *asked)
                    body = await held.read(receive, headers)
                    answer = await infer(self._engine, model, body, headers)
                    await held.send(scope, send, *answer)
                elif b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0":
                    body = await held.read(receive, headers)
                    await self._app(scope, _replayed(body, receive), send)
                else:
                    await self._app(scope, receive, send)
            except ClientGone:
                return
            except (Refusal, EdgePlanError) as error:
                await refuse(error, scope, receive, send)
            except Exception as error:
                if asked is None:  # the application has answered it
                    raise
                _LOG.exception("An inference failed inside.")
                await refuse(error, scope, receive, send)

    def _refuse_strangers(self, path: str, headers: dict[bytes, bytes]) -> None:
        if path.startswith(_OPEN_PATHS) or path in _PAGES or self._wanted is None:
            return
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._wanted):
            raise Refusal(401, "request", "a bearer token", headers={"WWW-Authenticate": "Bearer"})


def _replayed(body: bytes, receive: Receive) -> Receive:
    """What a route receives whose body has been read already."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return left.pop() if left else await receive()

    return replay
