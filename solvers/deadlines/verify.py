"""No job schedule leaves `solve` unchecked."""

from __future__ import annotations

from dataclasses import replace

from ...formulation import JobProblem, capped, evaluate_jobs
from ..claims import SolverBugError, agreed_bound, refuse_wrong_parts
from .solution import JobSolution


def refuse_unrunnable(problem: JobProblem) -> None:
    """Nothing to refuse: `JobNetwork` already has a processor for each layer, and every transfer is possible."""


def verified(problem: JobProblem, solution: JobSolution) -> JobSolution:
    """Score the schedule of a solution and attach the evaluation.

    Raises
    ------
    SolverBugError
        The schedule breaks something, its objective or bound is not what the evaluator finds, or parts are missing.
    """
    who = f"solver {solution.method!r} ({solution.status})"
    refuse_wrong_parts(who, solution.status, solution.schedule, solution.clashes)
    if solution.schedule is None:
        return solution
    evaluation = evaluate_jobs(problem, solution.schedule)
    if not evaluation.feasible:
        raise SolverBugError(f"{who}: its schedule is broken: {capped(evaluation.violations)}")
    bound = agreed_bound(who, solution.objective, solution.bound, evaluation.objective, least_scale=1.0)
    return replace(solution, evaluation=evaluation, bound=bound)
