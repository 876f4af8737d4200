"""Exact search: the use of processors is cut into boxes, in each of which costs add up over models.

What a model's point costs depends on the others through the level of use of each processor alone, and grows with it. So
within a box of levels, costs at its lower corner bound the objective from below, and a multiple-choice knapsack with
the upper corner and the memories as capacities gives the least of them. If the levels of its answer are the lower
corner, the bound is attained; otherwise the box is split there. Boxes are taken by their bounds, so a stopped search
proves a gap.
"""

from __future__ import annotations

import heapq
from itertools import count

import numpy as np
from numpy.typing import NDArray

from ...formulation.operating_points import OperatingPointProblem
from ..stop import Stop
from .clashes import infeasible
from .greedy import greedy_choice
from .labels import Knapsack, Relaxation, Relaxed
from .outcome import solution_of
from .solution import PointsSolution

Floats = NDArray[np.float64]
_CLOSE = 1e-12
"""Relative difference of a bound from the best value at which a box is closed: sums are taken in another order."""


class _Boxes:
    """The boxes of one problem."""

    def __init__(self, problem: OperatingPointProblem, relax: Relaxation) -> None:
        self.tables = problem.tables
        self._relax = relax
        tables = self.tables
        self.n_levels = 2 * tables.n_processors
        least = np.where(tables.there[..., None], tables.use, np.inf).min(axis=1)
        # Level of each point beside the leanest points of all others.
        self.reached = tables.use + (least.sum(axis=0) - least)[:, None, :]
        self.lower = least.sum(axis=0)
        largest = np.where(tables.there[..., None], tables.use, 0.0).max(axis=1).sum(axis=0)
        self.upper = np.minimum(tables.highest, largest * (1 + 1e-9))

    def bound(self, low: Floats, high: Floats, below: float, stop: Stop) -> Relaxed:
        """Least cost at the lower corner of what fits under the upper one, where that is less than `below`."""
        tables = self.tables
        n, width = tables.there.shape
        i, j = np.meshgrid(np.arange(n), np.arange(width), indexing="ij")
        level = np.where(tables.there[..., None], np.maximum(low, self.reached), 0.0)
        cost = np.where(tables.there, tables.costs(level, i, j), np.inf)
        fits = np.all(self.reached <= high * (1 + _CLOSE), axis=2)
        knapsack = Knapsack(np.where(fits, cost, np.inf), tables.use, high)
        return self._relax(knapsack, below, stop)

    def split_at(self, choice: tuple[int, ...], low: Floats) -> tuple[int, float] | None:
        """Column and level to split at: the one that raises the choice's bound most; None where it is at the corner."""
        at = np.array(choice)
        i = np.arange(len(at))
        level = self.tables.levels(at[None, :])[0]
        best, column = -np.inf, None
        for d in range(self.n_levels):
            if level[d] > low[d]:
                raised = low.copy()
                raised[d] = level[d]
                corner = np.maximum(raised, self.reached[i, at])
                value = float(self.tables.costs(corner, i, at).sum())
                if value > best:
                    best, column = value, d
        return None if column is None else (column, float(level[column]))


def search_boxes(method: str, problem: OperatingPointProblem, relax: Relaxation, stop: Stop) -> PointsSolution:
    """Search until the smallest bound is attained or time runs out."""
    boxes, number = _Boxes(problem, relax), count()
    best = greedy_choice(problem)
    value = np.inf if best is None else float(problem.tables.objectives(np.array([best]))[0])
    root = boxes.bound(boxes.lower, boxes.upper, value, stop)
    if not root.finished:
        return _stopped(method, problem, best, root.bound)
    heap = []
    if root.choice is not None:
        heap.append((root.bound, next(number), boxes.lower, boxes.upper, root.choice))
    bound = np.inf
    while heap:
        bound, _, low, high, choice = heapq.heappop(heap)
        found = float(problem.tables.objectives(np.array([choice]))[0])
        if found < value:
            best, value = choice, found
        if bound >= value * (1 - _CLOSE):
            break
        where = boxes.split_at(choice, low)
        if where is None:
            # The corner itself was scored; only rounding keeps it apart from the best.
            continue
        column, level = where
        below_high, above_low = high.copy(), low.copy()
        below_high[column], above_low[column] = np.nextafter(level, -np.inf), level
        for lower, upper in ((low, below_high), (above_low, high)):
            relaxed = boxes.bound(lower, upper, value, stop)
            if not relaxed.finished or stop():
                return _stopped(method, problem, best, bound)
            if relaxed.choice is not None:
                heapq.heappush(heap, (max(bound, relaxed.bound), next(number), lower, upper, relaxed.choice))
    if best is None:
        return infeasible(method, problem, stop)
    return solution_of(method, problem, best, proven=True)


def _stopped(method: str, problem: OperatingPointProblem, best: tuple[int, ...] | None, bound: float) -> PointsSolution:
    return PointsSolution("timeout", method) if best is None else solution_of(method, problem, best, bound=bound)
