"""Exact choice of operating points: boxes of processor use, in each a multi-dimensional knapsack by CP-SAT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...formulation.operating_points import OperatingPointProblem
from ..cp_run import run_cp_sat
from ..stop import Stop
from .boxes import search_boxes
from .features import PointsFeatures
from .labels import Knapsack, Relaxed
from .solution import PointsSolution

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

_STEPS = 2**40
"""Steps that a capacity and the largest sum of costs are counted in. Uses and costs are rounded down, capacities up: a
relaxation, whose answers are held against the true figures."""


@dataclass(frozen=True)
class _Model:
    cp: cp_model.CpModel


class CpSat:
    """OR-Tools CP-SAT in place of the dynamic program; better where many limits bind at once."""

    name = "cp_sat"
    features = PointsFeatures(exact=True)

    def solve(self, problem: OperatingPointProblem, stop: Stop, seed: int) -> PointsSolution:
        """Search until proven or stopped; a stopped search has a proven gap."""

        def relax(knapsack: Knapsack, below: float, stop: Stop) -> Relaxed:
            return _cheapest(knapsack, below, stop, seed)

        return search_boxes(self.name, problem, relax, stop)


def _cheapest(knapsack: Knapsack, below: float, stop: Stop, seed: int) -> Relaxed:
    from ortools.sat.python import cp_model

    possible = np.isfinite(knapsack.cost)
    if not possible.any(axis=1).all():
        return Relaxed(np.inf, None)
    model = cp_model.CpModel()
    taken = {(int(i), int(j)): model.new_bool_var("") for i, j in np.argwhere(possible)}
    for i in range(len(possible)):
        model.add_exactly_one(taken[i, int(j)] for j in np.flatnonzero(possible[i]))
    for d in knapsack.binding():
        room = knapsack.capacity[d]
        # Where there is no room at all, only what takes nothing fits, at any scale.
        scale = _STEPS / (room or 1.0)
        amounts = {at: int(knapsack.use[(*at, d)] * scale) for at in taken}
        model.add(sum(amounts[at] * x for at, x in taken.items()) <= int(np.ceil(room * scale)) + 1)
    largest = float(np.where(possible, knapsack.cost, 0.0).max(axis=1).sum()) or 1.0
    scale = _STEPS / largest
    priced = sum(int(knapsack.cost[at] * scale) * x for at, x in taken.items())
    if np.isfinite(below):
        model.add(priced <= int(np.ceil(min(below / largest, 2.0) * _STEPS)))
    model.minimize(priced)
    while True:
        solver, status = run_cp_sat(_Model(model), stop, seed)
        if status == "INFEASIBLE":
            return Relaxed(below, None)
        if status != "OPTIMAL":
            known = solver.best_objective_bound / scale if status == "FEASIBLE" else 0.0
            return Relaxed(known, None, finished=False)
        choice = tuple(
            next(j for j in map(int, np.flatnonzero(row)) if solver.boolean_value(taken[i, j]))
            for i, row in enumerate(possible)
        )
        bound = solver.best_objective_bound / scale
        if bound >= below:
            return Relaxed(below, None)
        level = np.zeros(len(knapsack.capacity))
        for i, j in enumerate(choice):
            level = level + knapsack.use[i, j]
        if np.all(level <= knapsack.capacity):
            return Relaxed(bound, choice)
        # It only fits by rounding: leave it out and look again.
        model.add_bool_or(taken[i, j].negated() for i, j in enumerate(choice))
