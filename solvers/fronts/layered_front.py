"""The front of a model whose costs add up layer by layer, as an answer of a solver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...formulation import Plan, Problem
from ..assemble import plan_of
from ..pareto import non_dominated
from ..stop import Stop
from .chain_front import ChainFront, front_of_costs
from .layered import LayeredModel
from .lazy_front import LazyFront
from .supported import supported_points

_FALLBACK_EPSILON = 0.01
"""Factor of the front that is handed back where time does not suffice for the exact one."""


@dataclass(frozen=True, eq=False)
class LayeredPlans:
    """Plans of one model in rows.

    Attributes
    ----------
    layered : LayeredModel
    choices : ndarray of int, shape (p, K)
    method : str
    """

    layered: LayeredModel
    choices: NDArray[np.int16]
    method: str

    def figures(self) -> NDArray[np.float64]:
        """Latency and memory of every plan, shape (p, 2)."""
        return self.layered.figures(self.choices)

    def plan(self, index: int, /) -> Plan:
        """One of the plans."""
        part = self.layered.model_plan(self.choices[index])
        return plan_of(self.layered.problem, {self.layered.model.name: part}, self.method)


def layered_front(layered: LayeredModel, epsilon: float, stop: Stop, method: str) -> tuple[LazyFront, bool]:
    """Front of a model, and whether it is complete up to the factor 1 + epsilon.

    Where time runs out, the points are supported ways a hundredth apart, workspace left out of account.
    """
    costs, caps = layered.chain_costs(), layered.caps()
    found = front_of_costs(costs, caps, epsilon, stop)
    if not found.complete:
        return lazy_front(layered, supported_points(costs, caps, _FALLBACK_EPSILON), method), False
    return lazy_front(layered, found, method), True


def lazy_front(layered: LayeredModel, found: ChainFront, method: str) -> LazyFront:
    """Points scored anew in the evaluator's order of sums; those that its rounding makes equal are left out."""
    choices = found.choices()
    figures = layered.figures(choices)
    caps = layered.caps()
    good = np.flatnonzero((figures[:, 0] <= caps.latency_us) & (figures[:, 1] <= caps.memory_bytes))
    kept = good[non_dominated(figures[good])] if len(good) else good
    return LazyFront(figures[kept], LayeredPlans(layered, choices[kept], method))


def layered_model(problem: Problem) -> LayeredModel | None:
    """The only model of a problem as a layered one; None where there are several or it does not add up."""
    if len(problem.models) != 1:
        return None
    return LayeredModel.of(problem, problem.models[0])
