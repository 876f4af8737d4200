"""Solving again after the rates changed, from where the last solution was."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from ...formulation import TenancyProblem
from ..stop import TimeLimit
from .compiled import compile_search
from .descent import exchange
from .local_search import Points, descended, polish, whole_models
from .outcome import solution_of
from .search_space import SearchSpace
from .solution import TenancySolution
from .tables import LRU

_EXCHANGES = 3
"""Pairs of tenants that exchange places at every change, besides descents from the last solution and whole models."""

_POLISH_S = 0.2
"""Longest time that the evaluator itself is searched with, for policies that compiled code knows only roughly."""


class Reallocator:
    """Keeps a problem ready for search and its last solution as the next start.

    Costs of what did not change are kept, so that an answer takes milliseconds (under LRU up to tenths of a second);
    whether it is optimal is not proven (`solve(problem, method="branch_and_bound")` does that).

    Parameters
    ----------
    problem : TenancyProblem
    seed : int
    """

    name = "reallocator"

    def __init__(self, problem: TenancyProblem, seed: int = 0) -> None:
        compile_search()
        self._space = SearchSpace.of(problem)
        self._rng = np.random.default_rng(seed)
        self._last: Points | None = None

    @property
    def problem(self) -> TenancyProblem:
        """The problem with the rates of the last call."""
        return self._space.problem

    def reallocate(self, rate_hz: ArrayLike | None = None, problem: TenancyProblem | None = None) -> TenancySolution:
        """Solve for other rates, or for a problem whose costs changed.

        Parameters
        ----------
        rate_hz : array_like, shape (tenants,), optional
        problem : TenancyProblem, optional
            Replaces the problem; with the same tenants the last solution is still a start.

        Returns
        -------
        TenancySolution
            ``feasible``, or ``timeout`` where nothing stable was found.

        Raises
        ------
        WorkloadError
            A rate is not positive.
        """
        began_s = time.monotonic()
        if problem is not None:
            if [t.n_points for t in problem.tenants] != [t.n_points for t in self.problem.tenants]:
                self._last = None
            self._space = SearchSpace.of(problem)
        if rate_hz is not None:
            self._space.at_rates(self.problem.at_rates(rate_hz))
        space = self._space
        first = np.argmax(space.tables.runs, axis=1).astype(np.int64)
        order = space.default_order
        best_total, best, best_order = np.inf, first, order
        starts = [first if self._last is None else self._last.copy(), whole_models(space)]
        for start in starts:
            own = order.copy()
            total = descended(space, start, own)
            if total < best_total:
                best_total, best, best_order = total, start, own
        exchange(space.rate, best, best_order, space.tables, space.waits, best_total, _EXCHANGES, self._rng)
        if space.tables.kind == LRU:
            polish(space, best, best_order, TimeLimit(_POLISH_S))
        allocation = space.allocation(best, best_order)
        if allocation is None:
            return TenancySolution("timeout", self.name, runtime_s=time.monotonic() - began_s)
        self._last = best
        answer = solution_of(self.name, space.problem, allocation)
        return replace(answer, runtime_s=time.monotonic() - began_s).stamped()
