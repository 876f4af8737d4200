"""The multiple-choice knapsack: one row a model, least sum of costs within capacities, by dynamic program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..pareto import non_dominated
from ..stop import Stop

_SLACK = 1e-12
"""Relative slack in tests of what is still to come, whose sums are taken in another order than the true ones."""


class Relaxed(NamedTuple):
    """Answer to a knapsack: nothing costs less than `bound`; `choice` is None where nothing costs less than asked."""

    bound: float
    choice: tuple[int, ...] | None


class Relaxation(Protocol):
    """What solves a multiple-choice knapsack."""

    def __call__(self, knapsack: Knapsack, below: float, stop: Stop) -> Relaxed | None:
        """Cheapest choice that costs less than `below`; None where time ran out."""
        ...


@dataclass(frozen=True, eq=False)
class Knapsack:
    """Choose one option of every row.

    Attributes
    ----------
    cost : ndarray, shape (n, J)
        ∞ for what is not possible.
    use : ndarray, shape (n, J, D)
    filled, capacity : ndarray, shape (D,)
        What is taken beforehand, and the most that may be taken in all.
    """

    cost: NDArray[np.float64]
    use: NDArray[np.float64]
    filled: NDArray[np.float64]
    capacity: NDArray[np.float64]

    def binding(self) -> NDArray[np.int64]:
        """Columns whose capacity some choice exceeds."""
        largest = np.where(np.isfinite(self.cost)[..., None], self.use, 0.0).max(axis=1).sum(axis=0)
        return np.flatnonzero(self.filled + largest > self.capacity * (1 - _SLACK))


def cheapest(knapsack: Knapsack, below: float, stop: Stop) -> Relaxed | None:
    """Solve by dynamic program over labels.

    Layer i holds, of all choices for models 0 … i, those that no other one is at least as good as in cost and in every
    column whose capacity binds; what cannot be completed within the capacities or below the cost asked for is dropped.
    With one binding column these are the states of the knapsack's dynamic program over capacity, without rounding
    (Nemhauser, Ullmann 1969, doi 10.1287/mnsc.15.9.494). Sums run in the order of models, as the evaluator's do, so that
    what fits here fits there.
    """
    n = len(knapsack.cost)
    columns = knapsack.binding()
    possible = np.isfinite(knapsack.cost)
    if not possible.any(axis=1).all():
        return Relaxed(np.inf, None)
    use, capacity = knapsack.use[..., columns], knapsack.capacity[columns]
    least_use = np.where(possible[..., None], use, np.inf).min(axis=1)
    rest_use = np.vstack([np.cumsum(least_use[::-1], axis=0)[::-1][1:], np.zeros((1, len(columns)))])
    rest_cost = np.append(np.cumsum(knapsack.cost.min(axis=1)[::-1])[::-1][1:], 0.0)
    cost, level = np.zeros(1), knapsack.filled[columns][None, :]
    parents: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for i in range(n):
        if stop():
            return None
        options = np.flatnonzero(possible[i])
        costs = (cost[:, None] + knapsack.cost[i, options]).ravel()
        levels = (level[:, None, :] + use[i, options]).reshape(len(costs), len(columns))
        slack = 0.0 if i == n - 1 else _SLACK
        open_ = np.all(levels + rest_use[i] <= capacity * (1 + slack), axis=1)
        kept = np.flatnonzero(open_ & (costs + rest_cost[i] < below))
        if not len(kept):
            # What was dropped for its cost is no cheaper than `below`, so neither is what is left.
            return Relaxed(below, None)
        kept = kept[non_dominated(np.column_stack([costs[kept], levels[kept]]))]
        cost, level = costs[kept], levels[kept]
        before, which = np.divmod(kept, len(options))
        parents.append((before, options[which]))
    at = int(np.argmin(cost))
    bound, choice = float(cost[at]), []
    for before, option in reversed(parents):
        choice.append(int(option[at]))
        at = int(before[at])
    return Relaxed(bound, tuple(reversed(choice)))
