"""Nothing leaves `solve` unchecked: every allocation is scored again, and a solver that disagrees is a bug."""

from __future__ import annotations

from dataclasses import replace

from ...formulation import PlanError, TenancyProblem, evaluate_tenancy
from ..verify import SolverBugError
from .compiled import compile_search
from .solution import TenancySolution

_ROUNDING = 1e-9
"""Relative slack between a bound and an objective: their sums of floats may be taken in another order."""


def refuse_unrunnable(problem: TenancyProblem) -> None:
    """Nothing to refuse: a problem is built only where every tenant can run somewhere.

    Called before the clock of a time limit starts, this gets the compiled loops ready.
    """
    compile_search()


def verified(problem: TenancyProblem, solution: TenancySolution) -> TenancySolution:
    """Score the allocation of a solution by the evaluator and attach the evaluation.

    Raises
    ------
    SolverBugError
        The allocation cannot run or is unstable; the objective or the bound is not what the evaluator finds.
    """
    who = f"solver {solution.method!r} ({solution.status})"
    if (solution.status in ("optimal", "feasible")) != (solution.allocation is not None):
        raise SolverBugError(f"{who}: the allocation does not fit the status")
    if solution.status == "infeasible" and not solution.clashes:
        raise SolverBugError(f"{who}: nothing is named that clashes")
    if solution.allocation is None:
        return solution
    try:
        evaluation = evaluate_tenancy(problem, solution.allocation)
    except PlanError as error:
        raise SolverBugError(f"{who}: its allocation cannot run: {error}") from error
    if not evaluation.stable:
        raise SolverBugError(f"{who}: its allocation is {evaluation.unstable[0]}")
    truth = evaluation.mean_response_us
    if solution.objective != truth:
        raise SolverBugError(f"{who}: objective {solution.objective}, but the evaluator says {truth}")
    if solution.bound is not None and solution.bound > truth * (1 + _ROUNDING):
        raise SolverBugError(f"{who}: bound {solution.bound} above its own objective {truth}")
    bound = None if solution.bound is None else min(solution.bound, truth)
    return replace(solution, evaluation=evaluation, bound=bound)
