"""What a solver of operating-point problems can do, as data."""

from __future__ import annotations

from dataclasses import dataclass

from ...formulation.operating_points import OperatingPointProblem


@dataclass(frozen=True)
class PointsFeatures:
    """What a solver of operating-point problems supports.

    Attributes
    ----------
    exact : bool
        Whether it proves optimality and infeasibility, given time.
    max_choices : int or None
        Largest number of combinations it takes, where it looks at each.
    """

    exact: bool
    max_choices: int | None = None

    def unsupported(self, problem: OperatingPointProblem) -> str | None:
        """What a problem needs that the solver lacks, as a phrase, or None where the two fit."""
        if self.max_choices is not None and problem.n_choices > self.max_choices:
            return f"{problem.n_choices:.3g} combinations of points, where {self.max_choices} is the most"
        return None
