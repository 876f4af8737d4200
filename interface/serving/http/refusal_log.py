"""Logs what the application refuses, of which it knows only what it answers: a status and a reason."""

from __future__ import annotations

import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...logs import refused

_LONGEST_REASON = 500


class RefusalLog:
    """Plain ASGI around an application.

    Parameters
    ----------
    app : ASGIApp
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, and log answers from status 400 on."""
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif status >= 400 and message["type"] == "http.response.body":
                refused(status, _reason(message.get("body", b"")))
                status = 0
            await send(message)

        await self._app(scope, receive, watched if scope["type"] == "http" else send)


def _reason(body: bytes) -> str:
    """The reason in an answer, or what there is of one."""
    text = body[: 4 * _LONGEST_REASON].decode(errors="replace")
    try:
        return str(json.loads(text)["error"])[:_LONGEST_REASON]
    except (ValueError, LookupError, TypeError):
        return text[:_LONGEST_REASON]
