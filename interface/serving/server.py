"""The server process: uvicorn around the application, signs of life to systemd."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from socket import socket

import uvicorn
from starlette.types import ASGIApp

from .engine import Engine
from .notify import notify, watchdog_interval_s

KEEP_ALIVE_S = 15
BACKLOG = 512
NICENESS = -10
"""Of the thread that answers, where the system lets it: it needs little, but while every core runs a model it would
wait its turn at each of the several steps that a request takes, and refusals with it."""


class Server(uvicorn.Server):
    """Serves an application until SIGINT or SIGTERM.

    Parameters
    ----------
    app : ASGIApp
    engine : Engine
        While it is not ready, the watchdog is not fed.
    host : str
    port : int
        0 takes a free one.
    max_connections : int
        Requests and connections beyond are answered with 503.
    on_listening : callable, optional
        Called with the port once connections are taken.
    """

    def __init__(
        self,
        app: ASGIApp,
        engine: Engine,
        host: str,
        port: int,
        max_connections: int = 1024,
        on_listening: Callable[[int], None] | None = None,
    ) -> None:
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_level="warning",
            log_config=None,  # what it logs goes where everything goes
            access_log=False,
            limit_concurrency=max_connections,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        super().__init__(config)
        self._engine = engine
        self._on_listening = on_listening
        self._interval_s = watchdog_interval_s()
        self._fed_at_s = 0.0

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started:
            with suppress(PermissionError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
            notify("READY=1")
            if self._on_listening is not None:
                self._on_listening(self.servers[0].sockets[0].getsockname()[1])

    async def on_tick(self, counter: int) -> bool:
        """Feed the watchdog from the loop that answers requests: where that hangs, systemd starts the service again."""
        if (
            self._interval_s is not None
            and self._engine.ready
            and time.monotonic() - self._fed_at_s >= self._interval_s
        ):
            notify("WATCHDOG=1")
            self._fed_at_s = time.monotonic()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Say so, then stop."""
        notify("STOPPING=1")
        await super().shutdown(sockets)
