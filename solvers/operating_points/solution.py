"""What a solver of operating-point problems hands back."""

from __future__ import annotations

from dataclasses import dataclass

from ...formulation.operating_points import PointsEvaluation
from ..answer import Answer


@dataclass(frozen=True)
class PointsSolution(Answer):
    """Answer to an operating-point problem, in the unit of its objective: microseconds, or a share of requests.

    Attributes
    ----------
    choice : tuple of int or None
        Index of each model's point.
    evaluation : PointsEvaluation or None
        Of `choice`, by the one evaluator.
    clashes : tuple of str
        For ``infeasible``: limits that clash, each as a sentence; without any one of them there is a choice.
    """

    choice: tuple[int, ...] | None = None
    evaluation: PointsEvaluation | None = None
    clashes: tuple[str, ...] = ()
