"""Nothing leaves `solve` unchecked: every allocation is scored again, and a solver that disagrees is a bug."""

from __future__ import annotations

from dataclasses import replace

from ...formulation import PlanError, TenancyProblem, evaluate_tenancy
from ..claims import SolverBugError, agreed_bound, refuse_wrong_parts
from .compiled import compile_search
from .solution import TenancySolution


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
    refuse_wrong_parts(who, solution.status, solution.allocation, solution.clashes)
    if solution.allocation is None:
        return solution
    try:
        evaluation = evaluate_tenancy(problem, solution.allocation)
    except PlanError as error:
        raise SolverBugError(f"{who}: its allocation cannot run: {error}") from error
    if not evaluation.stable:
        raise SolverBugError(f"{who}: its allocation is {evaluation.unstable[0]}")
    truth = evaluation.mean_response_us
    bound = agreed_bound(who, solution.objective, solution.bound, truth)
    return replace(solution, evaluation=evaluation, bound=bound)
