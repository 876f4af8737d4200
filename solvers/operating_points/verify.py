"""Nothing leaves `solve` unchecked: every choice is scored again, and a solver that disagrees is a bug."""

from __future__ import annotations

from dataclasses import replace

from ...formulation import PlanError
from ...formulation.operating_points import OperatingPointProblem, evaluate_points
from ..claims import SolverBugError, agreed_bound, refuse_wrong_parts
from .solution import PointsSolution


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
    refuse_wrong_parts(who, solution.status, solution.choice, solution.clashes)
    if solution.choice is None:
        return solution
    try:
        evaluation = evaluate_points(problem, solution.choice)
    except PlanError as error:
        raise SolverBugError(f"{who}: {error}") from error
    if not evaluation.feasible:
        raise SolverBugError(f"{who}: {evaluation.violations[0]}")
    truth = evaluation.objective
    bound = agreed_bound(who, solution.objective, solution.bound, truth)
    return replace(solution, evaluation=evaluation, bound=bound)
