"""Solutions made from what a search found."""

from __future__ import annotations

from ...formulation import Allocation, TenancyProblem, evaluate_tenancy
from .solution import TenancySolution


def solution_of(
    method: str, problem: TenancyProblem, allocation: Allocation, *, bound_us: float | None = None, proven: bool = False
) -> TenancySolution:
    """Solution of an allocation, scored by the evaluator; `timeout` where it is not stable.

    Parameters
    ----------
    bound_us : float, optional
        No allocation has a smaller mean response.
    proven : bool
        Whether nothing is better.
    """
    evaluation = evaluate_tenancy(problem, allocation)
    if not evaluation.stable:
        return TenancySolution("timeout", method)
    objective = evaluation.mean_response_us
    if proven:
        bound_us = objective
    bound = None if bound_us is None else min(bound_us, objective)
    return TenancySolution(
        "optimal" if proven else "feasible", method, objective, bound, allocation=allocation, evaluation=evaluation
    )


def no_stable_allocation(method: str, problem: TenancyProblem) -> TenancySolution:
    """Proof that the load is too much for every partition."""
    return TenancySolution(
        "infeasible",
        method,
        clashes=(
            f"{problem.total_rate_hz:.4g} requests a second of {len(problem.tenants)} tenants are more than the "
            f"accelerator and {problem.cpu_cores} CPU cores can serve with any partition points",
        ),
    )
