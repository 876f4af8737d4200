"""A process a model, each with its own session, so that runtimes share nothing but the cores."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ...formulation import Problem
from ...profiles import sample_inputs
from ..footprint import peak_bytes
from ..records import RequestRecord
from .server import BookedServer, Feeds
from .sessions import SessionOptions


@dataclass(frozen=True)
class ModelProcesses:
    """Each model in a process of its own, first come first served.

    Inputs do not cross between the processes: each keeps a sample of its own, and a request is a signal to run it. So
    what is measured is the sharing of cores and not the copying of tensors, which favours this set-up.

    Attributes
    ----------
    sessions : SessionOptions
    """

    sessions: SessionOptions = field(default_factory=SessionOptions)

    def open(self, problem: Problem, files: Mapping[str, Path]) -> _ModelProcesses:
        """Start the processes."""
        return _ModelProcesses(self, problem, files)


class _ModelProcesses(BookedServer):
    def __init__(self, options: ModelProcesses, problem: Problem, files: Mapping[str, Path]) -> None:
        super().__init__(problem)
        context = multiprocessing.get_context("spawn")
        self._inboxes: dict[str, SimpleQueue[tuple[RequestRecord | None, Future[Any]] | None]] = {}
        self._threads = []
        self._connections: dict[str, Connection] = {}
        self._processes = []
        for name, path in files.items():
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve_model, args=(theirs, path, options.sessions), name=name)
            process.start()
            theirs.close()
            self._connections[name] = ours
            self._processes.append(process)
        for name, connection in self._connections.items():
            connection.recv()
            self._inboxes[name] = SimpleQueue()
            thread = threading.Thread(target=self._forward, args=(name, connection), daemon=True)
            self._threads.append(thread)
            thread.start()

    @property
    def pids(self) -> list[int]:
        """Processes that serve, besides this one."""
        return [process.pid for process in self._processes if process.pid is not None]

    def peak_bytes(self) -> int:
        """Largest resident memory of the serving processes, added up."""
        total = 0
        for model in self._connections:
            future: Future[Any] = Future()
            self._inboxes[model].put((None, future))
            total += future.result()
        return total

    def submit(self, model: str, feeds: Feeds, arrival_us: float | None = None) -> Future[Any]:
        """See `BookedServer.submit`; `feeds` stay here."""
        future: Future[Any] = Future()
        self._inboxes[model].put((self._book.begin(model, arrival_us), future))
        return future

    def close(self) -> None:
        """See `BookedServer.close`."""
        for inbox in self._inboxes.values():
            inbox.put(None)
        for thread in self._threads:
            thread.join()
        for connection in self._connections.values():
            connection.close()
        for process in self._processes:
            process.join(5)
            if process.is_alive():
                process.terminate()

    def _forward(self, model: str, connection: Connection) -> None:
        inbox = self._inboxes[model]
        while (queued := inbox.get()) is not None:
            record, future = queued
            connection.send("memory" if record is None else "run")
            answer = connection.recv()
            if record is None:
                future.set_result(answer)
            else:
                self._book.end(record, future, None, answer)


def _serve_model(connection: Connection, path: Path, options: SessionOptions) -> None:
    """Body of a model's process: run the sample whenever asked, until the other end closes."""
    session, feeds = options.open(path), sample_inputs(path)
    connection.send(os.getpid())
    try:
        while True:
            if connection.recv() == "memory":
                connection.send(peak_bytes())
                continue
            error = ""
            try:
                session.run(None, dict(feeds))
            except Exception as failure:  # reported with the request
                error = str(failure) or repr(failure)
            connection.send(error)
    except EOFError:
        pass
