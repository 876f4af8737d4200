"""One session and one serving thread a model; the operating system shares the cores."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ...formulation import Problem
from ..records import RequestRecord
from .server import BookedServer, Feeds
from .sessions import SessionOptions

_Queued = tuple[RequestRecord, Feeds, Future[Any]]


@dataclass(frozen=True)
class ModelThreads:
    """Each model is served by a thread of its own, first come first served. Nothing looks at deadlines.

    Attributes
    ----------
    sessions : SessionOptions
    pinned : bool
        Whether each thread is bound to one core, models dealt out to the cores in turn.
    """

    sessions: SessionOptions = field(default_factory=SessionOptions)
    pinned: bool = False

    def open(self, problem: Problem, files: Mapping[str, Path]) -> _ModelThreads:
        """Open the sessions and start the threads."""
        return _ModelThreads(self, problem, files)


class _ModelThreads(BookedServer):
    def __init__(self, options: ModelThreads, problem: Problem, files: Mapping[str, Path]) -> None:
        super().__init__(problem)
        cores = sorted(os.sched_getaffinity(0))
        options.sessions.start_pool()
        self._inboxes: dict[str, SimpleQueue[_Queued | None]] = {}
        self._threads = []
        for number, (name, path) in enumerate(files.items()):
            session = options.sessions.open(path)
            self._inboxes[name] = SimpleQueue()
            own = {cores[number % len(cores)]} if options.pinned else None
            thread = threading.Thread(target=self._serve, args=(name, session, own), name=f"model-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def submit(self, model: str, feeds: Feeds, arrival_us: float | None = None) -> Future[Any]:
        """See `BookedServer.submit`."""
        future: Future[Any] = Future()
        self._inboxes[model].put((self._book.begin(model, arrival_us), feeds, future))
        return future

    def close(self) -> None:
        """See `BookedServer.close`."""
        for inbox in self._inboxes.values():
            inbox.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self, model: str, session: Any, cores: set[int] | None) -> None:
        if cores:
            os.sched_setaffinity(0, cores)
        inbox = self._inboxes[model]
        while (queued := inbox.get()) is not None:
            record, feeds, future = queued
            outputs, error = None, ""
            try:
                outputs = session.run(None, feeds)
            except Exception as failure:  # one request's failure is written down and the next one is served
                error = str(failure) or repr(failure)
            self._book.end(record, future, outputs, error)
