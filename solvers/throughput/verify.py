"""Nothing leaves `solve` unchecked: every service plan is scored again, and a solver that disagrees is a bug."""

from __future__ import annotations

from dataclasses import replace

from ...formulation import PlanError, capped
from ...formulation.throughput import ThroughputProblem, evaluate_service
from ..claims import SolverBugError, agreed_bound, refuse_wrong_parts
from .solution import ThroughputSolution


def refuse_unrunnable(problem: ThroughputProblem) -> None:
    """Nothing to refuse: a problem is built only where every model can run somewhere.

    Called before the clock of a time limit starts, this loads the compiled formulas and the linear programs.
    """
    import scipy.optimize

    assert scipy.optimize.linprog
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
    refuse_wrong_parts(who, solution.status, solution.plan, solution.clashes)
    if solution.plan is None:
        return solution
    try:
        evaluation = evaluate_service(problem, solution.plan)
    except PlanError as error:
        raise SolverBugError(f"{who}: its plan cannot run: {error}") from error
    if not evaluation.feasible:
        raise SolverBugError(f"{who}: its plan breaks limits: {capped(evaluation.broken)}")
    truth = evaluation.objective(problem)
    bound = agreed_bound(who, solution.objective, solution.bound, truth, least_scale=1e-12, exact=False)
    return replace(solution, objective=truth, bound=bound, evaluation=evaluation)
