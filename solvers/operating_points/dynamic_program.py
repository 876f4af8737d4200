"""Exact choice of operating points: boxes of processor use, in each a knapsack over memory by dynamic program."""

from __future__ import annotations

from ...formulation.operating_points import OperatingPointProblem
from ..stop import Stop
from .boxes import search_boxes
from .features import PointsFeatures
from .labels import cheapest
from .solution import PointsSolution


class DynamicProgram:
    """Multiple-choice knapsack by dynamic program over memory and slices of utilisation."""

    name = "dynamic_program"
    features = PointsFeatures(exact=True)

    def solve(self, problem: OperatingPointProblem, stop: Stop, seed: int) -> PointsSolution:
        """Search until proven or stopped; a stopped search has a proven gap."""
        return search_boxes(self.name, problem, cheapest, stop)
