"""How far a search has come: told to whoever asked, while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Progress:
    """What a search knows at one moment.

    Attributes
    ----------
    elapsed_s : float
        Wall-clock seconds since the call that it is told to.
    objective : float or None
        Of the best plan so far, in the problem's own unit; None before there is one. It never rises.
    bound : float or None
        Nothing has a smaller objective; None where nothing is known. It never falls, and never passes `objective`.
    front : ndarray, shape (points, 2), or None
        Latency in microseconds and memory in bytes of the points so far, by growing latency; None without news of it.
    hypervolume : float or None
        Of `front`, against the search's own reference; it never falls.
    policy : str
        Way of sharing cores that is being tried; empty where there is no choice of them.
    """

    elapsed_s: float
    objective: float | None = None
    bound: float | None = None
    front: NDArray[np.float64] | None = None
    hypervolume: float | None = None
    policy: str = ""

    @property
    def gap(self) -> float | None:
        """Share of the objective that is not proven necessary; None where nothing is known."""
        if self.objective is None or self.bound is None:
            return None
        return max(0.0, self.objective - self.bound) / abs(self.objective) if self.objective else 0.0


OnProgress = Callable[[Progress], object]
"""Called as a search comes on, from the thread that searches. What it raises ends the search; `solve` raises it."""


class Reporter:
    """Passes on what a solver finds, so that the objective only falls and the bound only rises.

    Parameters
    ----------
    on_progress : callable, optional
        Left out, nobody listens and nothing is kept.
    """

    def __init__(self, on_progress: OnProgress | None = None) -> None:
        self._on_progress = on_progress
        self._began_s = time.monotonic()
        self._last = Progress(0.0)

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens: what costs time to find out need not be found out otherwise."""
        return self._on_progress is not None

    @property
    def objective(self) -> float | None:
        """Of the best plan that was told of."""
        return self._last.objective

    def began(self) -> None:
        """The search has begun."""
        self._tell(self._last)

    def found(self, objective: float) -> None:
        """A plan with that objective is in hand; told where it is better than those before."""
        if self._last.objective is None or objective < self._last.objective:
            self._news(objective, self._last.bound)

    def bounded(self, bound: float) -> None:
        """No plan has a smaller objective than this; told where that is more than was known."""
        if self._last.objective is not None:
            bound = min(bound, self._last.objective)
        if np.isfinite(bound) and (self._last.bound is None or bound > self._last.bound):
            self._news(self._last.objective, bound)

    def front(self, figures: NDArray[np.float64], hypervolume: float) -> None:
        """The points of a front so far; told where they dominate more than those before."""
        if not self.is_heard or not len(figures):
            return
        if self._last.hypervolume is None or hypervolume > self._last.hypervolume:
            points = figures[np.argsort(figures[:, 0])]
            self._tell(replace(self._last, front=points, hypervolume=hypervolume))

    def ended(self, objective: float | None, bound: float | None, front: NDArray[np.float64] | None) -> None:
        """The search is over, with that answer."""
        known = self._last.bound if bound is None else bound
        self._tell(replace(self._last, objective=objective, bound=known, front=front))

    def _news(self, objective: float | None, bound: float | None) -> None:
        self._tell(replace(self._last, objective=objective, bound=bound, front=None))

    def _tell(self, progress: Progress) -> None:
        if self._on_progress is not None:
            self._last = replace(progress, elapsed_s=time.monotonic() - self._began_s)
            self._on_progress(self._last)


UNHEARD = Reporter()
"""Where nobody listens."""
