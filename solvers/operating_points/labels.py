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
_DUAL_STEPS = 40
_MOST_LABELS = 100_000
"""Labels of one layer above which the search gives up: to compare them with each other would take seconds."""


class Relaxed(NamedTuple):
    """Answer to a knapsack: nothing costs less than `bound`.

    `choice` is None where nothing costs less than asked, and where the search was not `finished`.
    """

    bound: float
    choice: tuple[int, ...] | None
    finished: bool = True


class Relaxation(Protocol):
    """What solves a multiple-choice knapsack."""

    def __call__(self, knapsack: Knapsack, below: float, stop: Stop) -> Relaxed:
        """Cheapest choice that costs less than `below`."""
        ...


@dataclass(frozen=True, eq=False)
class Knapsack:
    """Choose one option of every row.

    Attributes
    ----------
    cost : ndarray, shape (n, J)
        ∞ for what is not possible.
    use : ndarray, shape (n, J, D)
    capacity : ndarray, shape (D,)
    """

    cost: NDArray[np.float64]
    use: NDArray[np.float64]
    capacity: NDArray[np.float64]

    def binding(self) -> NDArray[np.int64]:
        """Columns whose capacity some choice exceeds."""
        largest = np.where(np.isfinite(self.cost)[..., None], self.use, 0.0).max(axis=1).sum(axis=0)
        return np.flatnonzero(largest > self.capacity * (1 - _SLACK))


def _rests(cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least sum of costs of the rows that come after each, shape (n,)."""
    return np.append(np.cumsum(cost.min(axis=1)[::-1])[::-1][1:], 0.0)


def _prices(
    cost: NDArray[np.float64], use: NDArray[np.float64], room: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Good multipliers of the columns, shape (D,), and the bound that they give, by subgradient steps.

    Lagrange's dual of the knapsack: ``Σ_i min_j (cost + prices · use) − prices · room`` bounds the cost of all that
    fits for any prices of 0 or more. Columns are scaled by their room; steps after Held, Wolfe, Crowder 1974
    (doi 10.1007/BF01580223), halved where they do not help.
    """
    scale = np.maximum(room, 1e-300)
    rows = np.arange(len(cost))
    prices = best_prices = np.zeros(use.shape[2])
    best, step = -np.inf, 1.0
    for _ in range(_DUAL_STEPS):
        priced = cost + use @ (prices / scale)
        chosen = np.argmin(priced, axis=1)
        value = float(priced[rows, chosen].sum() - prices @ (room / scale))
        if value > best:
            best, best_prices = value, prices
        else:
            step *= 0.7
        excess = (use[rows, chosen].sum(axis=0) - room) / scale
        length = float(excess @ excess)
        if length == 0.0:
            break
        prices = np.maximum(best_prices + step * 0.1 * abs(best) * excess / length, 0.0)
    return best_prices / scale, best


def cheapest(knapsack: Knapsack, below: float, stop: Stop) -> Relaxed:
    """Solve by dynamic program over labels.

    Layer i holds, of all choices for models 0 … i, those that no other one is at least as good as in cost and in every
    column whose capacity binds; what cannot be completed within the capacities or below the cost asked for is dropped.
    With one binding column these are the states of the knapsack's dynamic program over capacity, without rounding
    (Nemhauser, Ullmann 1969, doi 10.1287/mnsc.15.9.494). Prices of the columns, by Lagrange's dual, tell how cheap a
    label can still become. Sums run in the order of models, as the evaluator's do, so that what fits here fits there.
    """
    n = len(knapsack.cost)
    columns = knapsack.binding()
    possible = np.isfinite(knapsack.cost)
    if not possible.any(axis=1).all():
        return Relaxed(np.inf, None)
    use, capacity = knapsack.use[..., columns], knapsack.capacity[columns]
    least_use = np.where(possible[..., None], use, np.inf).min(axis=1)
    rest_use = np.vstack([np.cumsum(least_use[::-1], axis=0)[::-1][1:], np.zeros((1, len(columns)))])
    prices, dual = _prices(knapsack.cost, np.where(possible[..., None], use, 0.0), capacity)
    if dual * (1 - _SLACK) >= below:
        return Relaxed(below, None)
    rest_cost = _rests(knapsack.cost)
    rest_priced = _rests(np.where(possible, knapsack.cost + np.where(possible[..., None], use, 0.0) @ prices, np.inf))
    cost, level = np.zeros(1), np.zeros((1, len(columns)))
    parents: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for i in range(n):
        options = np.flatnonzero(possible[i])
        if stop() or len(cost) * len(options) > _MOST_LABELS:
            return Relaxed(dual, None, finished=False)
        costs = (cost[:, None] + knapsack.cost[i, options]).ravel()
        levels = (level[:, None, :] + use[i, options]).reshape(len(costs), len(columns))
        slack = 0.0 if i == n - 1 else _SLACK
        open_ = np.all(levels + rest_use[i] <= capacity * (1 + slack), axis=1)
        cheap = costs + rest_cost[i] < below
        cheap &= costs + (levels - capacity) @ prices + rest_priced[i] < below * (1 + _SLACK)
        kept = np.flatnonzero(open_ & cheap)
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
