"""What serves requests in a comparison, and the book-keeping that baselines share."""

from __future__ import annotations

import itertools
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ...formulation import Problem
from ..clock import now_us
from ..records import RequestRecord

Feeds = Mapping[str, np.ndarray]


class Server(Protocol):
    """Something that answers requests and writes them down."""

    @property
    def records(self) -> list[RequestRecord]: ...

    def submit(self, model: str, feeds: Feeds, arrival_us: float | None = None) -> Future[Any]: ...
    def drain(self) -> object: ...
    def close(self) -> object: ...
    def __enter__(self) -> Server: ...
    def __exit__(self, *_: object) -> None: ...


@runtime_checkable
class HasProcesses(Protocol):
    """A server that serves from other processes too."""

    @property
    def pids(self) -> list[int]: ...
    def peak_bytes(self) -> int: ...


class Baseline(Protocol):
    """A way to serve models without a plan. Data only, so that another process can open it."""

    def open(self, problem: Problem, files: Mapping[str, Path]) -> Server: ...


class RequestBook:
    """Requests of a server that is not the live runtime: opened by `begin`, closed by `end`.

    Parameters
    ----------
    problem : Problem
        Its streams give the deadlines.
    """

    def __init__(self, problem: Problem) -> None:
        self.records: list[RequestRecord] = []
        self._deadline_us = {s.model: s.deadline_us or float("inf") for s in problem.streams}
        self._ids = itertools.count()
        self._idle = threading.Condition()
        self._waiting = 0

    def begin(self, model: str, arrival_us: float | None) -> RequestRecord:
        """Note a request."""
        arrived = now_us() if arrival_us is None else arrival_us
        with self._idle:
            self._waiting += 1
        deadline_us = arrived + self._deadline_us.get(model, float("inf"))
        return RequestRecord(next(self._ids), model, -1, arrived, deadline_us)

    def end(self, record: RequestRecord, future: Future[Any], outputs: object, error: str = "") -> None:
        """Note its end and answer. An error is written down and the next request served."""
        record.finish_us = now_us()
        record.error = error
        self.records.append(record)
        future.set_result(outputs)
        with self._idle:
            self._waiting -= 1
            self._idle.notify_all()

    def drain(self) -> None:
        """Wait until every request has ended."""
        with self._idle:
            self._idle.wait_for(lambda: self._waiting == 0)


class BookedServer(ABC):
    """Base of the baselines: records, `drain`, and use as a context manager."""

    def __init__(self, problem: Problem) -> None:
        self._book = RequestBook(problem)
        self.records = self._book.records

    def __enter__(self) -> BookedServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def submit(self, model: str, feeds: Feeds, arrival_us: float | None = None) -> Future[Any]:
        """Queue a request that was due at `arrival_us`, now where left out. Its future never fails: see the record."""

    def drain(self) -> None:
        """Wait until all that is queued has been served."""
        self._book.drain()

    @abstractmethod
    def close(self) -> None:
        """Serve what is queued and stop."""
