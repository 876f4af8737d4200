"""A choice in little time: the column that saves most, again and again, then exchanges while they pay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..stop import Stop
from .problem import ClusteringProblem

_PAYS = 1 - 1e-12
"""An exchange has to better the sum by more than the rounding of its floats."""


def greedy_columns(problem: ClusteringProblem, stop: Stop) -> list[int] | None:
    """Choose columns one by one, then exchange (Teitz, Bart 1968, doi 10.1287/opre.16.5.955); None where rows are left.

    A row that is not served yet costs more than all others together, so that serving comes before saving.
    """
    cost, weight = problem.priced, problem.weight
    chosen: list[int] = []
    best = np.full(len(cost), cost.max() + 1.0)  # so that even a column without any loss saves
    most = problem.max_columns or cost.shape[1]
    while len(chosen) < most:
        saved = weight @ np.maximum(0.0, best[:, None] - cost)
        j = int(saved.argmax())
        served = bool(problem.allowed[:, chosen].any(axis=1).all()) if chosen else False
        if saved[j] <= 0 or (served and problem.max_columns is None):
            break
        chosen.append(j)
        best = np.minimum(best, cost[:, j])
    if problem.max_columns is None:
        chosen = _without_needless(problem, chosen)
    chosen = _exchanged(cost, weight, chosen, stop)
    return chosen if chosen and problem.allowed[:, chosen].any(axis=1).all() else None


def _without_needless(problem: ClusteringProblem, chosen: list[int]) -> list[int]:
    """Leave out columns without which every row is served still, the first chosen first: later ones cover the rest."""
    kept = list(chosen)
    for j in chosen:
        others = [other for other in kept if other != j]
        if others and problem.allowed[:, others].any(axis=1).all():
            kept = others
    return kept


def _exchanged(cost: NDArray[np.float64], weight: NDArray[np.float64], chosen: list[int], stop: Stop) -> list[int]:
    """Exchange one chosen column for another while that betters the sum: the best exchange of each column in turn."""
    improved = True
    while improved and not stop():
        improved = False
        for k in range(len(chosen)):
            others = chosen[:k] + chosen[k + 1 :]
            rest = cost[:, others].min(axis=1) if others else np.full(len(cost), np.inf)
            sums = weight @ np.minimum(rest[:, None], cost)
            j = int(sums.argmin())
            if sums[j] < sums[chosen[k]] * _PAYS:
                chosen = [*chosen[:k], j, *chosen[k + 1 :]]
                improved = True
    return chosen
