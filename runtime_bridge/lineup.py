"""What serves each model now, what served it before and still has requests, and who waits while nothing does."""

from __future__ import annotations

import itertools
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..formulation import InferenceError
from .pipeline import Pipeline
from .sessions import SessionPool

EXCHANGE_TIMEOUT_S = 60.0
"""Longest wait for a model's requests to end before its sessions are closed, where a swap needs their memory."""


@dataclass(frozen=True, eq=False)
class Served:
    """What serves new requests for one model.

    Attributes
    ----------
    version : int
        Of the plan.
    pipeline : Pipeline
    deadline_us : float
        Relative, of requests that bring none.
    """

    version: int
    pipeline: Pipeline
    deadline_us: float


class Asked(NamedTuple):
    """A request that waits until its model is open again."""

    feeds: Mapping[str, np.ndarray]
    arrival_us: float
    deadline_us: float | None
    label: str
    future: Future[dict[str, np.ndarray]]


class Entered(NamedTuple):
    """A request that was counted in: for `Lineup.left`, and what serves it."""

    serial: int
    served: Served


class Lineup:
    """Pipelines by model. What is exchanged is closed when its last request has ended. Safe for several threads.

    Parameters
    ----------
    pool : SessionPool
        Takes back what is closed.
    """

    def __init__(self, pool: SessionPool) -> None:
        self._pool = pool
        self._lock = threading.Condition()
        self._serials = itertools.count()
        self._served: dict[str, Entered] = {}
        self._retired: dict[int, Served] = {}  # by serial number, as are the next two
        self._closing: set[int] = set()
        self._in_flight: Counter[int] = Counter()
        self._waiting: dict[str, deque[Asked]] = {}

    @property
    def served(self) -> dict[str, Served]:
        """What serves now, by model."""
        with self._lock:
            return {name: entered.served for name, entered in self._served.items()}

    @property
    def retired(self) -> tuple[Served, ...]:
        """What was exchanged and still has requests."""
        with self._lock:
            return tuple(self._retired.values())

    def enter(self, model: str, wait: Callable[[int], Asked]) -> Entered | Asked | None:
        """Count a request in. None where nothing serves the model.

        Where the model is held, `wait` makes what waits from the number of requests that do already.
        """
        with self._lock:
            if (line := self._waiting.get(model)) is not None:
                line.append(asked := wait(sum(map(len, self._waiting.values()))))
                return asked
            if (entered := self._served.get(model)) is not None:
                self._in_flight[entered.serial] += 1
            return entered

    def left(self, serial: int) -> None:
        """A request that was counted in has ended."""
        with self._lock:
            self._in_flight[serial] -= 1
            last = serial in self._retired and not self._in_flight[serial]
        if last:
            self._close_retired()

    def hold(self, models: Iterable[str]) -> None:
        """Let further requests for these models wait."""
        with self._lock:
            for model in models:
                self._waiting.setdefault(model, deque())

    def let_in(self, models: Iterable[str] | None = None) -> list[tuple[str, Asked]]:
        """Hold these models, or all, no longer. Returns who waited, for who called to submit them."""
        with self._lock:
            names = list(self._waiting if models is None else models)
            return [(name, asked) for name in names for asked in self._waiting.pop(name)]

    def exchange(self, models: Iterable[str], opened: Mapping[str, Served], *, wait: bool = False) -> None:
        """Let `opened` serve instead of what serves these models; with `wait` return when that is closed.

        Raises
        ------
        InferenceError
            Its requests do not end within `EXCHANGE_TIMEOUT_S`.
        """
        with self._lock:
            old = {entered.serial: entered.served for m in models if (entered := self._served.pop(m, None))}
            self._served.update({model: Entered(next(self._serials), served) for model, served in opened.items()})
            self._retired.update(old)
        self._close_retired()
        if wait:
            self.settle(old)

    def settle(self, serials: Iterable[int] | None = None) -> None:
        """Wait until these that were exchanged are closed, or all.

        Raises
        ------
        InferenceError
            Their requests do not end within `EXCHANGE_TIMEOUT_S`.
        """
        with self._lock:
            old = frozenset(self._retired if serials is None else serials)
            if not self._lock.wait_for(lambda: self._retired.keys().isdisjoint(old), EXCHANGE_TIMEOUT_S):
                raise InferenceError(
                    "plan",
                    expected=f"requests in flight to end within {EXCHANGE_TIMEOUT_S:g} s, for their memory is needed",
                    got="some that have not",
                    remedy="Allow more memory, or look why requests hang.",
                )

    def _close_retired(self) -> None:
        with self._lock:
            ended = {s: r for s, r in self._retired.items() if not self._in_flight[s] and s not in self._closing}
            self._closing.update(ended)
        if not ended:
            return
        for served in ended.values():
            self._pool.release(served.pipeline)
        with self._lock:
            for serial in ended:
                del self._retired[serial], self._in_flight[serial]
                self._closing.remove(serial)
            self._lock.notify_all()
