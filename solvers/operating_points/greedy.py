"""A good choice of operating points within about a millisecond, for use online."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...formulation.operating_points import OperatingPointProblem
from ..stop import Stop
from .features import PointsFeatures
from .outcome import solution_of
from .solution import PointsSolution

Ints = NDArray[np.int64]
_MOST_PAIRS = 6_000
"""Pairs of changes that are scored at once; more would take too long between two requests."""


class Greedy:
    """Upgrades by efficiency from the leanest points, then changes of one model or two until none helps.

    The result is never worse than the points in force, where these keep every limit, and no change of a single model
    betters it; of two models neither, where there are few enough pairs of changes to look at each.
    """

    name = "greedy"
    features = PointsFeatures(exact=False)

    def solve(self, problem: OperatingPointProblem, stop: Stop, seed: int) -> PointsSolution:
        """Search; `timeout`, with nothing found, where no choice that keeps the limits was met."""
        choice = greedy_choice(problem)
        return PointsSolution("timeout", self.name) if choice is None else solution_of(self.name, problem, choice)


def greedy_choice(problem: OperatingPointProblem) -> tuple[int, ...] | None:
    """Best choice met from three starts: leanest points, points in force, points that are fastest alone."""
    tables = problem.tables
    steps = _steps(tables.there)
    room = np.where(np.isfinite(tables.highest), tables.highest, 1.0)
    use = np.where(tables.there[..., None], tables.use, np.inf)
    starts = [np.argmin((use / room).max(axis=2), axis=1), np.argmin(use.max(axis=2, initial=0.0), axis=1)]
    starts.append(np.argmin(np.where(tables.there, tables.other_us + tables.busy_us.sum(axis=2), np.inf), axis=1))
    if all(model.current is not None for model in problem.models):
        starts.append(np.array([model.current for model in problem.models]))
    best, least = None, np.inf
    for number, start in enumerate(starts):
        choice = _fitted(problem, start.astype(np.int64), steps)
        if choice is None:
            continue
        if number == 0:
            choice = _upgraded(problem, choice, steps)
        choice, value = _descended(problem, choice, steps)
        if value < least:
            best, least = choice, value
    pairs = _pairs(steps)
    while best is not None and 0 < len(pairs) <= _MOST_PAIRS:
        others = np.tile(best, (len(pairs), 1))
        for side in (0, 1):
            others[np.arange(len(pairs)), steps[pairs[:, side], 0]] = steps[pairs[:, side], 1]
        values = tables.objectives(others)
        k = int(np.argmin(values))
        if not values[k] < least:
            break
        best, least = _descended(problem, others[k], steps)
    return None if best is None else tuple(int(j) for j in best)


def _steps(there: NDArray[np.bool_]) -> Ints:
    """All (model, point) pairs, shape (S, 2)."""
    return np.argwhere(there)


def _pairs(steps: Ints) -> Ints:
    """Pairs of steps of two models, as indices, shape (·, 2); none where they are too many."""
    if len(steps) ** 2 > 2 * _MOST_PAIRS:
        return np.empty((_MOST_PAIRS + 1, 2), dtype=np.int64)
    first, second = np.triu_indices(len(steps), 1)
    apart = steps[first, 0] != steps[second, 0]
    return np.column_stack([first[apart], second[apart]])


def _neighbours(choice: Ints, steps: Ints) -> Ints:
    """Choices that differ in one model, shape (S, n); those that do not differ are among them."""
    others = np.tile(choice, (len(steps), 1))
    others[np.arange(len(steps)), steps[:, 0]] = steps[:, 1]
    return others


def _excess(problem: OperatingPointProblem, choices: Ints) -> NDArray[np.float64]:
    """How far limits are exceeded, as shares of the limits, added up, shape (B,)."""
    tables = problem.tables
    limited = np.isfinite(tables.highest)
    over = tables.levels(choices)[:, limited] / tables.highest[limited] - 1.0
    return np.maximum(over, 0.0).sum(axis=1)


def _fitted(problem: OperatingPointProblem, choice: Ints, steps: Ints) -> Ints | None:
    """A choice that keeps the limits with finite queues, by single changes that take off most of what is too much."""
    excess = float(_excess(problem, choice[None, :])[0])
    while excess > 0:
        others = _neighbours(choice, steps)
        over = _excess(problem, others)
        k = int(np.argmin(over))
        if over[k] >= excess:
            return None
        choice, excess = others[k], float(over[k])
    # Within the limits a model may still be too slow for its own requests; take the best of what is one change away.
    for _ in range(len(choice)):
        if np.isfinite(problem.tables.objectives(choice[None, :])[0]):
            return choice
        others = _neighbours(choice, steps)
        fits = _excess(problem, others) == 0
        execution, response = problem.tables.times_us(
            problem.tables.levels(others)[:, None, :], np.arange(len(choice))[None, :], others
        )
        asked = np.where(np.isfinite(response), 0.0, problem.tables.rate_per_us * execution)
        k = int(np.argmin(np.where(fits, asked.sum(axis=1), np.inf)))
        if np.array_equal(others[k], choice):
            return None
        choice = others[k]
    return choice if np.isfinite(problem.tables.objectives(choice[None, :])[0]) else None


def _upgraded(problem: OperatingPointProblem, choice: Ints, steps: Ints) -> Ints:
    """Take the change of most gain for the share of the limits that it uses up, again and again (after Toyoda 1975).

    Toyoda, Management Science 21(12), doi 10.1287/mnsc.21.12.1417. A change that uses up nothing comes first.
    """
    tables = problem.tables
    limited = np.isfinite(tables.highest)
    value = float(tables.objectives(choice[None, :])[0])
    for _ in range(4 * len(choice)):
        others = _neighbours(choice, steps)
        gain = value - tables.objectives(others)
        more = tables.levels(others)[:, limited] - tables.levels(choice[None, :])[:, limited]
        price = np.maximum((more / tables.highest[limited]).sum(axis=1), 1e-9)
        k = int(np.argmax(np.where(gain > 1e-12 * value, gain / price, -np.inf)))
        if not gain[k] > 1e-12 * value:
            break
        choice, value = others[k], value - float(gain[k])
    return choice


def _descended(problem: OperatingPointProblem, choice: Ints, steps: Ints) -> tuple[Ints, float]:
    """Take the best single change until none helps."""
    value = float(problem.tables.objectives(choice[None, :])[0])
    while True:
        others = _neighbours(choice, steps)
        values = problem.tables.objectives(others)
        k = int(np.argmin(values))
        if not values[k] < value:
            return choice, value
        choice, value = others[k], float(values[k])
