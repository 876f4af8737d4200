"""What a choice of columns is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...formulation import Status
from ..answer import Answer
from .problem import ClusteringProblem


@dataclass(frozen=True)
class Clustering(Answer):
    """Columns, and which of them serves each row. The objective is the mean loss by weight.

    Attributes
    ----------
    columns : tuple of int
        Chosen ones, ascending.
    column_of : ndarray of int, shape (n,)
        The chosen column with the least loss for each row, the first of equals; empty without a choice.
    worst_loss : float or None
        Largest loss of a row.
    least_columns : int or None
        No choice with fewer columns serves every row; None where nothing is known. Only where their number was to be
        minimised.
    """

    columns: tuple[int, ...] = ()
    column_of: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    worst_loss: float | None = None
    least_columns: int | None = None


def clustering_of(
    method: str,
    problem: ClusteringProblem,
    columns: list[int],
    status: Status,
    bound: float | None,
    least_columns: int | None = None,
) -> Clustering:
    """Assign every row to the best of the chosen columns; those that no row takes are left out.

    Raises
    ------
    AssertionError
        The columns do not serve every row, or are too many: the caller's mistake.
    """
    chosen = np.array(sorted(set(columns)), dtype=np.int64)
    losses = np.where(problem.allowed, problem.loss, np.inf)[:, chosen]
    best = losses.argmin(axis=1)
    least = losses[np.arange(len(best)), best]
    assert np.isfinite(least).all(), "a row is not served"
    assert problem.max_columns is None or len(chosen) <= problem.max_columns, "too many columns"
    column_of = chosen[best]
    objective = float(np.average(least, weights=problem.weight))
    return Clustering(
        status,
        method,
        objective=objective,
        bound=None if bound is None else min(bound, objective),
        columns=tuple(int(j) for j in np.unique(column_of)),
        column_of=column_of,
        worst_loss=float(least.max()),
        least_columns=least_columns,
    )
