"""How each model's requests spread over its paths: linear programs over core time, at full batches.

They know nothing of contention. The spread keeps the busiest pool least busy; ties go to the paths that take least lane
time. `work` is the share of the time that each pool is busy for a request a second on each path, shape (pools, paths);
`owner` the model of each path.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_TIE = 1e-3


def least_busy(
    work: NDArray[np.float64], owner: NDArray[np.int64], asked: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Rates by path that serve what is asked and keep the busiest pool least busy."""
    if len(set(owner.tolist())) == len(owner):
        return asked[owner]
    from scipy.optimize import linprog

    pools, paths = work.shape
    scale = float((work * asked[owner]).max())
    tie = _TIE * work.mean(axis=0) * asked[owner] / scale
    found = linprog(
        np.append(tie, 1.0),
        A_ub=np.hstack([work * asked[owner] / scale, -np.ones((pools, 1))]),
        b_ub=np.zeros(pools),
        A_eq=np.hstack([(owner[None, :] == np.arange(len(asked))[:, None]).astype(float), np.zeros((len(asked), 1))]),
        b_eq=np.ones(len(asked)),
        method="highs",
    )
    return np.maximum(found.x[:paths], 0.0) * asked[owner] if found.status == 0 else None


def largest_factor(
    work: NDArray[np.float64],
    owner: NDArray[np.int64],
    direction: NDArray[np.float64],
    least: NDArray[np.float64],
    top: float,
) -> float | None:
    """Largest factor of the direction that utilisation allows where no model gets less than its least rate."""
    from scipy.optimize import linprog

    scale = top / float(work.max())
    member = (owner[None, :] == np.arange(len(direction))[:, None]).astype(float)
    factor = direction[:, None] / float(direction.max())
    found = linprog(
        np.append(np.zeros(len(owner)), -1.0),
        A_ub=np.vstack(
            [
                np.hstack([work * scale, np.zeros((len(work), 1))]),
                np.hstack([-member, factor]),
                np.hstack([-member, np.zeros_like(factor)]),
            ]
        ),
        b_ub=np.concatenate([np.full(len(work), top), np.zeros(len(direction)), -least / scale]),
        method="highs",
    )
    if found.status != 0 or found.x[-1] <= 0.0:
        return None
    return float(found.x[-1]) * scale / float(direction.max())


def most_throughput(
    work: NDArray[np.float64],
    owner: NDArray[np.int64],
    weight: NDArray[np.float64],
    least: NDArray[np.float64],
    most: NDArray[np.float64],
    top: float,
) -> NDArray[np.float64] | None:
    """Rates by path with the largest weighted sum that utilisation, least and most rates allow."""
    from scipy.optimize import linprog

    scale, capped = 1.0 / float(work.max()), np.isfinite(most)
    member = (owner[None, :] == np.arange(len(weight))[:, None]).astype(float)
    found = linprog(
        -weight[owner],
        A_ub=np.vstack([work * scale, -member, member[capped]]),
        b_ub=np.concatenate([np.full(len(work), top), -least / scale, most[capped] / scale]),
        method="highs",
    )
    return np.maximum(found.x, 0.0) * scale if found.status == 0 else None
