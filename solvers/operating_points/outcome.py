"""Solutions made from what a search found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...formulation.operating_points import OperatingPointProblem
from .solution import PointsSolution


def solution_of(
    method: str,
    problem: OperatingPointProblem,
    choice: Sequence[int],
    *,
    bound: float | None = None,
    proven: bool = False,
) -> PointsSolution:
    """Solution of a choice; `timeout` where it breaks a limit.

    Parameters
    ----------
    bound : float, optional
        Nothing has a smaller objective.
    proven : bool
        Whether nothing is better.
    """
    objective = float(problem.tables.objectives(np.array([choice], dtype=np.int64))[0])
    if not np.isfinite(objective):
        return PointsSolution("timeout", method)
    bound = objective if proven else None if bound is None else min(bound, objective)
    status = "optimal" if proven else "feasible"
    return PointsSolution(status, method, objective, bound, choice=tuple(int(j) for j in choice))
