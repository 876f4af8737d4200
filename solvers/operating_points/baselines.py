"""What users do today, behind the same interface: one rule for every model, nothing decided jointly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ...formulation.operating_points import ModelPoints, OperatingPoint, OperatingPointProblem
from ..stop import Stop
from .features import PointsFeatures
from .outcome import solution_of
from .solution import PointsSolution


def fastest(points: Sequence[OperatingPoint]) -> int:
    """Index of the point with the least latency alone."""
    return min(range(len(points)), key=lambda j: (points[j].latency_us, points[j].total_bytes))


def smallest(points: Sequence[OperatingPoint]) -> int:
    """Index of the point with the least memory."""
    return min(range(len(points)), key=lambda j: (points[j].total_bytes, points[j].latency_us))


def most_cores(points: Sequence[OperatingPoint]) -> int:
    """Index of the point that asks for most cores at once, what default sessions do; of several the fastest."""
    return min(range(len(points)), key=lambda j: (-max(u.cores for u in points[j].uses), points[j].latency_us))


class _Rule(ABC):
    """A point of each model by itself."""

    name = ""
    features = PointsFeatures(exact=False)

    @abstractmethod
    def point(self, model: ModelPoints) -> int:
        """Index of the point."""

    def solve(self, problem: OperatingPointProblem, stop: Stop, seed: int) -> PointsSolution:
        """Apply the rule; `timeout`, with nothing found, where what it says breaks a limit."""
        return solution_of(self.name, problem, [self.point(model) for model in problem.models])


class StaticFastest(_Rule):
    """Each model's fastest point."""

    name = "static_fastest"

    def point(self, model: ModelPoints) -> int:
        """The fastest."""
        return fastest(model.points)


class StaticSmallest(_Rule):
    """Each model's smallest point."""

    name = "static_smallest"

    def point(self, model: ModelPoints) -> int:
        """The smallest."""
        return smallest(model.points)


class AllCores(_Rule):
    """Each model on as many cores as there are, what default sessions of ONNX Runtime do."""

    name = "all_cores"

    def point(self, model: ModelPoints) -> int:
        """The one with most cores."""
        return most_cores(model.points)
