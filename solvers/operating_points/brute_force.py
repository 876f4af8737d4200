"""Every combination of points, scored by the evaluator: the oracle for small problems."""

from __future__ import annotations

import numpy as np

from ...formulation.operating_points import OperatingPointProblem
from ..stop import Stop
from .clashes import infeasible
from .features import PointsFeatures
from .outcome import solution_of
from .solution import PointsSolution

_AT_ONCE = 20_000


class BruteForce:
    """Scores everything; for small problems and as the oracle of tests."""

    name = "brute_force"
    features = PointsFeatures(exact=True, max_choices=2_000_000)

    def solve(self, problem: OperatingPointProblem, stop: Stop, seed: int) -> PointsSolution:
        """Enumerate; without a proof where time runs out."""
        sizes = [len(model.points) for model in problem.models]
        best, least = None, np.inf
        total, stopped = int(problem.n_choices), False
        for begin in range(0, total, _AT_ONCE):
            if stop():
                stopped = True
                break
            numbers = np.arange(begin, min(begin + _AT_ONCE, total))
            choices = np.column_stack(np.unravel_index(numbers, sizes))
            values = problem.tables.objectives(choices)
            k = int(np.argmin(values))
            if values[k] < least:
                best, least = choices[k], float(values[k])
        if best is None:
            return PointsSolution("timeout", self.name) if stopped else infeasible(self.name, problem, stop)
        return solution_of(self.name, problem, best.tolist(), proven=not stopped)
