"""Fronts of several models together: latencies weighted and added, memory added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...formulation import WorkloadError
from ..pareto import non_dominated

_SUMS_AT_ONCE = 2_000_000
"""Sums of points formed before dominated ones are removed; bounds the memory used."""


@dataclass(frozen=True, eq=False)
class JointFront:
    """Non-dominated combinations of one point of each model's front.

    Attributes
    ----------
    figures : ndarray, shape (p, d)
        Weighted sum of the latencies, then the sums of the other figures; in lexicographic order.
    points : ndarray of int, shape (p, models)
        Which point of each model's front.
    """

    figures: NDArray[np.float64]
    points: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.figures)


def joint_front(
    fronts: Sequence[ArrayLike], weights: ArrayLike = 1.0, limits: ArrayLike = np.inf, thinned: float = 0.0
) -> JointFront:
    """Front of several models that stay in memory together.

    Parameters
    ----------
    fronts : sequence of array_like, each of shape (p_i, d)
        ``front.figures`` of each model: latency, memory and, where given, a third figure such as energy or misses.
    weights : array_like, shape (models,)
        Of each model's latency, above 0.
    limits : array_like, shape (d,)
        Largest figures of interest.
    thinned : float
        Above 0: points within a factor 1 + thinned of another, in every figure, may be left out. Fronts that are
        themselves within a factor 1 + epsilon give sums within (1 + epsilon) · (1 + thinned).

    Returns
    -------
    JointFront

    Raises
    ------
    WorkloadError
        No fronts, fronts of different widths, or weights that are not above 0.

    Notes
    -----
    A combination that holds a dominated point is dominated, so that fronts suffice. Models are added one by one,
    O(p · q log) for fronts of p and q points; sums that cannot keep the limits with the leanest rest are left out.
    """
    tables = [np.asarray(front, dtype=np.float64) for front in fronts]
    widths = {table.shape[1] if table.ndim == 2 else 0 for table in tables}
    if len(widths) != 1 or 0 in widths:
        raise WorkloadError(
            "joint front",
            expected="at least one front, all with the same figures",
            got=f"widths {sorted(widths)}",
            remedy="Give `front.figures` of each model.",
        )
    weight = np.broadcast_to(np.asarray(weights, dtype=np.float64), (len(tables),))
    if not np.all(weight > 0):
        raise WorkloadError("weights", expected="more than 0", got=f"{weight.min()}", remedy="Leave the model out.")
    width = widths.pop()
    highest = np.broadcast_to(np.asarray(limits, dtype=np.float64), (width,))
    tables = [np.column_stack([w * table[:, 0], table[:, 1:]]) for w, table in zip(weight, tables, strict=True)]
    figures, points = np.zeros((1, width)), np.zeros((1, 0), dtype=np.int64)
    for k, table in enumerate(tables):
        if not len(table):
            return JointFront(np.empty((0, width)), np.empty((0, len(tables)), dtype=np.int64))
        rest = sum((later.min(axis=0) for later in tables[k + 1 :] if len(later)), np.zeros(width))
        figures, points = _added(figures, points, table, highest * (1 + 1e-9) - rest)
        if thinned > 0:
            kept = _thinned(figures, (1 + thinned) ** (1 / len(tables)))
            figures, points = figures[kept], points[kept]
    within = np.all(figures <= highest, axis=1)
    return JointFront(figures[within], points[within])


def _added(
    figures: NDArray[np.float64], points: NDArray[np.int64], table: NDArray[np.float64], highest: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Non-dominated sums of a row of each table."""
    best = np.empty((0, figures.shape[1]))
    chosen = np.empty((0, points.shape[1] + 1), dtype=np.int64)
    step = max(1, _SUMS_AT_ONCE // len(table))
    for begin in range(0, len(figures), step):
        rows = figures[begin : begin + step]
        sums = (rows[:, None, :] + table[None, :, :]).reshape(-1, figures.shape[1])
        first, second = np.divmod(np.arange(len(sums)), len(table))
        within = np.all(sums <= highest, axis=1)
        sums = np.concatenate([best, sums[within]])
        labels = np.column_stack([points[begin + first[within]], second[within]])
        chosen = np.concatenate([chosen, labels])
        kept = non_dominated(sums) if len(sums) else np.empty(0, dtype=np.int64)
        best, chosen = sums[kept], chosen[kept]
    return best, chosen


def _thinned(figures: NDArray[np.float64], factor: float) -> NDArray[np.int64]:
    """Rows left such that each row has one of them within the factor in every figure."""
    left, kept = np.arange(len(figures)), []
    while len(left):
        # Of the rows that the first one's neighbours could stand for, the last in order stands for most.
        near = left[np.all(figures[left] <= figures[left[0]] * factor, axis=1)]
        stands = int(near[-1])
        kept.append(stands)
        left = left[~np.all(figures[stands] <= figures[left] * factor, axis=1)]
    return np.array(kept, dtype=np.int64)
