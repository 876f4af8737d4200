"""Nothing leaves `solve` unchecked: every choice is scored again, and a solver that disagrees is a bug."""

from __future__ import annotations

from dataclasses import replace

from ...formulation import PlanError
from ...formulation.operating_points import OperatingPointProblem, evaluate_points
from ..verify import SolverBugError
from .solution import PointsSolution

_ROUNDING = 1e-9
"""Relative slack between a bound and an objective: their sums of floats may be taken in another order."""


def refuse_unrunnable(problem: OperatingPointProblem) -> None:
    """Nothing to refuse, for every point of a valid problem runs; gets the tables ready before the clock starts."""
    _ = problem.tables


def verified(problem: OperatingPointProblem, solution: PointsSolution) -> PointsSolution:
    """Score the choice of a solution by the evaluator and attach the evaluation.

    Raises
    ------
    SolverBugError
        The choice is not one, or breaks a limit; the objective or the bound is not what the evaluator finds.
    """
    who = f"solver {solution.method!r} ({solution.status})"
    if (solution.status in ("optimal", "feasible")) != (solution.choice is not None):
        raise SolverBugError(f"{who}: the choice does not fit the status")
    if solution.status == "infeasible" and not solution.clashes:
        raise SolverBugError(f"{who}: nothing is named that clashes")
    if solution.choice is None:
        return solution
    try:
        evaluation = evaluate_points(problem, solution.choice)
    except PlanError as error:
        raise SolverBugError(f"{who}: {error}") from error
    if not evaluation.feasible:
        raise SolverBugError(f"{who}: {evaluation.violations[0]}")
    truth = evaluation.objective
    if solution.objective != truth:
        raise SolverBugError(f"{who}: objective {solution.objective}, but the evaluator says {truth}")
    if solution.bound is not None and solution.bound > truth * (1 + _ROUNDING):
        raise SolverBugError(f"{who}: bound {solution.bound} above its own objective {truth}")
    bound = None if solution.bound is None else min(solution.bound, truth)
    return replace(solution, evaluation=evaluation, bound=bound)
