"""One worker thread a core that runs whole models on one thread, from one queue or from a queue a core."""

from __future__ import annotations

import heapq
import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ...formulation import Problem
from ..records import RequestRecord
from .server import BookedServer, Feeds
from .sessions import SessionOptions


@dataclass(frozen=True)
class PinnedWorkers:
    """Workers run requests to their end, one at a time.

    Attributes
    ----------
    order : {'first_come', 'earliest_deadline'}
        Which waiting request goes next.
    core_of : mapping of str to int, optional
        Index of the one worker that serves each model; where left out, any worker serves any model.
    """

    order: Literal["first_come", "earliest_deadline"] = "first_come"
    core_of: Mapping[str, int] | None = None

    def open(self, problem: Problem, files: Mapping[str, Path]) -> _PinnedWorkers:
        """Open the sessions and start the workers."""
        return _PinnedWorkers(self, problem, files)


class _PinnedWorkers(BookedServer):
    def __init__(self, options: PinnedWorkers, problem: Problem, files: Mapping[str, Path]) -> None:
        super().__init__(problem)
        cores = sorted(os.sched_getaffinity(0))
        self._options = options
        self._sessions = {name: SessionOptions(threads=1).open(path) for name, path in files.items()}
        self._queues: list[list[tuple[float, int, RequestRecord, Feeds, Future[Any]]]] = [
            [] for _ in (cores if options.core_of else cores[:1])
        ]
        self._ready = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, args=(k, core), name=f"worker-{core}", daemon=True)
            for k, core in enumerate(cores)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, model: str, feeds: Feeds, arrival_us: float | None = None) -> Future[Any]:
        """See `BookedServer.submit`."""
        future: Future[Any] = Future()
        record = self._book.begin(model, arrival_us)
        urgency = record.deadline_us if self._options.order == "earliest_deadline" else 0.0
        queue = self._queues[self._options.core_of[model] if self._options.core_of else 0]
        with self._ready:
            heapq.heappush(queue, (urgency, record.request, record, feeds, future))
            self._ready.notify_all()
        return future

    def close(self) -> None:
        """See `BookedServer.close`."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self, number: int, core: int) -> None:
        os.sched_setaffinity(0, {core})
        queue = self._queues[number if self._options.core_of else 0]
        while True:
            with self._ready:
                self._ready.wait_for(lambda: queue or self._closed)
                if not queue:
                    return
                _, _, record, feeds, future = heapq.heappop(queue)
            outputs, error = None, ""
            try:
                outputs = self._sessions[record.model].run(None, feeds)
            except Exception as failure:  # one request's failure is written down and the next one is served
                error = str(failure) or repr(failure)
            self._book.end(record, future, outputs, error)
