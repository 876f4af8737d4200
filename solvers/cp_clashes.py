"""Which limits clash, for several models: answered by CP-SAT on the problem with some limits only."""

from __future__ import annotations

import math

from ..formulation import Problem
from .clashes import find_clashes
from .cp_combinations import Combinations
from .cp_model_builder import CpProblem
from .cp_run import run_cp_sat
from .cp_setting import Setting
from .cp_start import shortest_paths
from .limits import Limit, keeps, limits_of
from .solution import Clash
from .stop import Stop


def cp_clashes(problem: Problem, stop: Stop, seed: int) -> tuple[Clash, ...]:
    """Find limits that clash in a problem that is known to have no plan."""
    values = limits_of(problem)
    setting = Setting.of(problem, frozenset())
    combinations = Combinations(problem, setting.choices, setting.weights, setting.parts)
    all_combinations = combinations.within(math.inf, frozenset(), stop) or ()
    samples = [each.evaluation for each in shortest_paths(setting, combinations, all_combinations)]

    def part(kept: frozenset[Limit]) -> CpProblem | None:
        """The problem with some limits only; None where it is plain that nothing keeps them."""
        if not combinations.memory_can_do(kept) or combinations.within(math.inf, kept, stop) == ():
            return None
        model = CpProblem(problem, setting.choices, setting.parts)
        model.keep(kept, values)
        return model

    def feasible(kept: frozenset[Limit]) -> bool | None:
        if any(keeps(evaluation, kept) for evaluation in samples):
            return True
        model = part(kept)
        if model is None:
            return False
        status = run_cp_sat(model, stop, seed)[1]
        return None if status == "UNKNOWN" else status != "INFEASIBLE"

    def smallest(limit: Limit, others: frozenset[Limit]) -> float | None:
        model = part(others)
        if model is None:
            return None
        figure, unit = model.figure(limit)
        model.cp.minimize(figure)
        solver, status = run_cp_sat(model, stop, seed)
        return solver.objective_value * unit if status == "OPTIMAL" else None

    return find_clashes(problem, feasible, smallest, stop)
