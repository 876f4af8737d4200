"""Smaller problems with the same answer: equal rows counted together, columns that another one beats left out."""

from __future__ import annotations

import numpy as np

from .problem import ClusteringProblem


def reduced(problem: ClusteringProblem) -> tuple[ClusteringProblem, list[int]]:
    """Merge rows with the same losses and drop dominated columns.

    Returns
    -------
    ClusteringProblem
        With every loss that is not allowed infinite.
    list of int
        Columns of the problem that were kept, in their order.

    Notes
    -----
    Column a is dominated by b where b loses no more in any row; of equals the first is kept. Every choice with a is
    then no better than the one with b in its place. Rows (n) are merged before columns (m) are compared: O(n·m²).
    """
    loss = np.where(problem.allowed, problem.loss, np.inf)
    rows, which = np.unique(loss, axis=0, return_inverse=True)
    weight = np.zeros(len(rows))
    np.add.at(weight, which.ravel(), problem.weight)
    kept = []
    for a in range(rows.shape[1]):
        no_worse = np.all(rows <= rows[:, [a]], axis=0)
        strictly = no_worse & np.any(rows < rows[:, [a]], axis=0)
        equal_before = (no_worse & ~strictly)[:a]
        if not strictly.any() and not equal_before.any():
            kept.append(a)
    smaller = ClusteringProblem(rows[:, kept], weight, problem.max_columns, problem.max_loss)
    return smaller, kept
