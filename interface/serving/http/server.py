"""The server process: uvicorn around the application, signs of life to systemd."""

from __future__ import annotations

import asyncio
import os
import resource
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SOL_SOCKET, socket
from typing import Any, Protocol, cast

import uvicorn
from starlette.types import ASGIApp

from ....formulation import PlatformError
from .connections import Connection
from .notify import notify, watchdog_interval_s
from .places import DRAIN_TIMEOUT_S, ConnectionLimits, Connections

BACKLOG = 2048
NICENESS = -10
"""Of the thread that answers, where the system lets it: it needs little, but while every core runs a model it would
wait its turn at each of the several steps that a request takes, and refusals with it."""
_SWEEP_S = 0.5
_OTHER_FILES = 256
"""Open files that connections leave to models, state and planning."""


def bound(host: str, port: int) -> socket:
    """A socket that has an address, but does not listen yet; 0 takes a free port.

    Raises
    ------
    PlatformError
        No such address here, or another process has it.
    """
    found = socket(AF_INET6 if ":" in host else AF_INET)
    try:
        found.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        found.bind((host, port))
        return found
    except OSError as error:
        found.close()
        raise PlatformError(
            f"address {host}:{port}",
            expected="one of this machine that is free",
            got=str(error),
            remedy="Name another with --host and --port, or stop what listens there.",
        ) from error


class Readiness(Protocol):
    """What an application works with, and whether that works."""

    @property
    def ready(self) -> bool:
        """Whether requests can be served."""
        ...


class Server(uvicorn.Server):
    """Serves an application until SIGINT or SIGTERM.

    Parameters
    ----------
    app : ASGIApp
    engine : Readiness
        While it is not ready, the watchdog is not fed.
    host : str
    port : int
        0 takes a free one.
    limits : ConnectionLimits, optional
        No more connections are taken than this process may have files.
    on_listening : callable, optional
        Called with the port once connections are taken.
    """

    def __init__(
        self,
        app: ASGIApp,
        engine: Readiness,
        host: str,
        port: int,
        limits: ConnectionLimits | None = None,
        on_listening: Callable[[int], None] | None = None,
    ) -> None:
        wanted = limits or ConnectionLimits()
        files = raise_file_limit()
        places = min(wanted.max_connections, max(files - _OTHER_FILES, files // 2))
        self.connections = Connections(replace(wanted, max_connections=places))
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            # uvicorn asks for a class, and calls it with its own arguments.
            http=cast(Any, partial(Connection, self.connections)),
            ws="none",
            log_level="warning",
            log_config=None,  # what it logs goes where everything goes
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=round(wanted.idle_s) + 1,  # ours comes first
            timeout_graceful_shutdown=round(DRAIN_TIMEOUT_S),
        )
        super().__init__(config)
        self._sweeper: asyncio.Task[None] | None = None
        self._engine = engine
        self._on_listening = on_listening
        self._interval_s = watchdog_interval_s()
        self._fed_at_s = 0.0

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self._sweeper = asyncio.create_task(self._sweep())
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
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _sweep(self) -> None:
        """Close connections whose time is over."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.connections.close_late(time.monotonic())


def raise_file_limit() -> int:
    """Let this process open as many files as it may. Returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # systems differ in what they call unlimited
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return hard
    return soft
