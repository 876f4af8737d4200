"""Every choice of columns: the oracle of small problems."""

from __future__ import annotations

from itertools import combinations

from .problem import ClusteringProblem


def all_choices(problem: ClusteringProblem) -> list[int] | None:
    """The best of all choices: of the least number of columns where that is asked for, then of the least mean loss.

    All 2^m subsets at worst. None where no choice serves every row.
    """
    m = problem.loss.shape[1]
    best: tuple[float, tuple[int, ...]] | None = None
    for size in range(1, (problem.max_columns or m) + 1):
        for columns in combinations(range(m), min(size, m)):
            loss = problem.mean_loss(columns)
            if loss < float("inf") and (best is None or loss < best[0]):
                best = (loss, columns)
        if problem.max_columns is None and best is not None:
            break
    return None if best is None else list(best[1])
