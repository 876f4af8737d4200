"""Nothing leaves `solve` unchecked: every service plan is scored again, and a solver that disagrees is a bug."""

from __future__ import annotations

from dataclasses import replace

from ...formulation import PlanError, capped
from ...formulation.throughput import ThroughputProblem, evaluate_service
from ..verify import SolverBugError
from .solution import ThroughputSolution

_ROUNDING = 1e-9
"""Relative slack for sums of floats taken in another order: rates of paths are spread over instances and added up."""


def refuse_unrunnable(problem: ThroughputProblem) -> None:
    """Nothing to refuse: a problem is built only where every model can run somewhere.

    Called before the clock of a time limit starts, this loads the compiled formulas.
    """
    from ...formulation.queueing.multi_server import gigc_wait_kernel, waiting_probability_kernel

    gigc_wait_kernel(1e-6, 1.0, 1.0, 0.0, 1)
    waiting_probability_kernel(1e-6, 1)


def verified(problem: ThroughputProblem, solution: ThroughputSolution) -> ThroughputSolution:
    """Score the plan of a solution by the evaluator and attach the evaluation.

    Raises
    ------
    SolverBugError
        The plan breaks a limit or does not fit; the objective or the bound is not what the evaluator finds.
    """
    who = f"solver {solution.method!r} ({solution.status})"
    if (solution.status in ("optimal", "feasible")) != (solution.plan is not None):
        raise SolverBugError(f"{who}: the plan does not fit the status")
    if solution.status == "infeasible" and not solution.clashes:
        raise SolverBugError(f"{who}: no limits are named that clash")
    if solution.plan is None:
        return solution
    try:
        evaluation = evaluate_service(problem, solution.plan)
    except PlanError as error:
        raise SolverBugError(f"{who}: its plan cannot run: {error}") from error
    if not evaluation.feasible:
        raise SolverBugError(f"{who}: its plan breaks limits: {capped(evaluation.broken)}")
    truth = evaluation.objective(problem)
    slack = _ROUNDING * max(1e-12, abs(truth))
    if solution.objective is None or abs(solution.objective - truth) > slack:
        raise SolverBugError(f"{who}: objective {solution.objective}, but the evaluator says {truth}")
    if solution.bound is not None and solution.bound > truth + slack:
        raise SolverBugError(f"{who}: bound {solution.bound} above its own objective {truth}")
    bound = None if solution.bound is None else min(solution.bound, truth)
    return replace(solution, objective=truth, bound=bound, evaluation=evaluation)
