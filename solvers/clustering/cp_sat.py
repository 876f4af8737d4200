"""Exact choices by CP-SAT: the fewest columns, and the least mean loss with so many of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..cp_run import run_cp_sat
from ..stop import Stop
from .problem import ClusteringProblem

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

_STEPS = 2**40
"""Steps that the dearest sum of losses is counted in. Losses are rounded down, so that a bound stays one."""


@dataclass(frozen=True)
class _Model:
    cp: cp_model.CpModel
    taken: list[cp_model.IntVar]


@dataclass(frozen=True)
class Choice:
    """What CP-SAT found: columns (None: nothing), whether that is proven best (or impossible), and a bound."""

    columns: list[int] | None
    proven: bool
    bound: float


def fewest_columns(problem: ClusteringProblem, hint: list[int] | None, stop: Stop, seed: int) -> Choice:
    """Serve every row by as few columns as possible; the bound is on their number."""
    model = _base(problem, hint)
    model.cp.minimize(sum(model.taken))
    solver, status = run_cp_sat(model, stop, seed)
    if status == "INFEASIBLE":
        return Choice(None, True, np.inf)
    if status not in ("OPTIMAL", "FEASIBLE"):
        return Choice(None, False, 1.0)
    columns = [j for j, taken in enumerate(model.taken) if solver.boolean_value(taken)]
    return Choice(columns, status == "OPTIMAL", float(np.ceil(solver.best_objective_bound - 1e-6)))


def least_loss(problem: ClusteringProblem, hint: list[int] | None, stop: Stop, seed: int) -> Choice:
    """Lose as little as possible with at most `max_columns` columns; the bound is on the mean loss by weight.

    Row i takes column j (x_ij) only where j is chosen: the strong form of the p-median problem, whose relaxation is
    mostly integral. Where rows have equal losses for several columns, any of them may serve.
    """
    assert problem.max_columns is not None
    model = _base(problem, hint)
    model.cp.add(sum(model.taken) <= problem.max_columns)
    price = problem.weight[:, None] * np.where(problem.allowed, problem.loss, 0.0)
    dearest = float(price.max(axis=1).sum())
    scale = _STEPS / dearest if dearest > 0 else 1.0
    terms = []
    for i in range(len(price)):
        served = []
        for j in map(int, np.flatnonzero(problem.allowed[i])):
            x = model.cp.new_bool_var("")
            model.cp.add_implication(x, model.taken[j])
            served.append(x)
            terms.append(int(price[i, j] * scale) * x)
        model.cp.add_exactly_one(served)
    model.cp.minimize(sum(terms))
    # Without the implications in it, the relaxation says next to nothing of this problem.
    solver, status = run_cp_sat(model, stop, seed, linearization_level=2)
    if status == "INFEASIBLE":
        return Choice(None, True, np.inf)
    if status not in ("OPTIMAL", "FEASIBLE"):
        return Choice(None, False, 0.0)
    columns = [j for j, taken in enumerate(model.taken) if solver.boolean_value(taken)]
    total = float(problem.weight.sum())
    bound = max(0.0, solver.best_objective_bound) / scale / total
    # What rounding down may hide, at most a step a row.
    hidden = len(price) / scale / total
    proven = status == "OPTIMAL" and problem.mean_loss(columns) <= bound + hidden * (1 + 1e-6) + 1e-15
    return Choice(columns, proven, bound)


def _base(problem: ClusteringProblem, hint: list[int] | None) -> _Model:
    """Columns to take, so that every row has one that may serve it."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    taken = [model.new_bool_var("") for _ in range(problem.loss.shape[1])]
    for allowed in problem.allowed:
        model.add_bool_or([taken[int(j)] for j in np.flatnonzero(allowed)])
    if hint is not None:
        for j, x in enumerate(taken):
            model.add_hint(x, j in hint)
    return _Model(model, taken)
