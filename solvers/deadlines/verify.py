"""No job schedule leaves `solve` unchecked."""

from __future__ import annotations

from dataclasses import replace

from ...formulation import JobProblem, capped, evaluate_jobs
from ..verify import SolverBugError
from .solution import JobSolution

_ROUNDING = 1e-9
"""Relative slack between a bound and an objective, and at least a billionth."""


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
    if (solution.status in ("optimal", "feasible")) != (solution.schedule is not None):
        raise SolverBugError(f"{who}: the schedule does not fit the status")
    if solution.status == "infeasible" and not solution.clashes:
        raise SolverBugError(f"{who}: no limits are named that clash")
    if solution.schedule is None:
        return solution
    evaluation = evaluate_jobs(problem, solution.schedule)
    if not evaluation.feasible:
        raise SolverBugError(f"{who}: its schedule is broken: {capped(evaluation.violations)}")
    if solution.objective != evaluation.objective:
        raise SolverBugError(f"{who}: objective {solution.objective}, but the evaluator says {evaluation.objective}")
    slack = _ROUNDING * max(1.0, evaluation.objective)
    if solution.bound is not None and solution.bound > evaluation.objective + slack:
        raise SolverBugError(f"{who}: bound {solution.bound} above its own schedule's {evaluation.objective}")
    bound = None if solution.bound is None else min(solution.bound, evaluation.objective)
    return replace(solution, evaluation=evaluation, bound=bound)
