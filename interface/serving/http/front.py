"""In front of all routes of a service that infers: the gate, and the route that infers."""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Receive, Scope, Send

from ....formulation import EdgePlanError
from ..engine import Engine
from ..protocol.infer import asked_model, infer, served_model
from .bodies import ClientGone, Held
from .gate import AppSettings as AppSettings
from .gate import Gate
from .refusal import Refusal, refuse

_LOG = logging.getLogger(__name__)


class Front(Gate):
    """Lets requests pass to an application, or answers them.

    Parameters
    ----------
    app : ASGIApp
        Gets what is not for inference, with its body read already.
    engine : Engine
    settings : AppSettings
    """

    def __init__(self, app: ASGIApp, engine: Engine, settings: AppSettings) -> None:
        super().__init__(app, settings, open_paths=("/v2/health/",), pages=("/edgeplan", "/edgeplan/"))
        self._engine = engine

    async def answer(self, scope: Scope, receive: Receive, send: Send, headers: dict[bytes, bytes], held: Held) -> None:
        """Infer, or hand the request to the application."""
        asked = asked_model(scope["path"])
        if asked is None:
            await super().answer(scope, receive, send, headers, held)
            return
        try:
            if scope["method"] != "POST":
                raise Refusal(405, "inference", "POST", got=scope["method"][:20], headers={"Allow": "POST"})
            model = served_model(self._engine, *asked)
            body = await held.read(receive, headers)
            content = await infer(self._engine, model, body, headers)
            await held.send(scope, send, *content)
        except (ClientGone, Refusal, EdgePlanError):
            raise
        except Exception as error:
            _LOG.exception("An inference failed inside.")
            await refuse(error, scope, receive, send)
