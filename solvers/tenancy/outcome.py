"""Solutions made from what a search found."""

from __future__ import annotations

import numpy as np

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


def no_stable_allocation(method: str, problem: TenancyProblem, utilisation: float | None = None) -> TenancySolution:
    """Proof that the load is too much for every partition.

    Parameters
    ----------
    utilisation : float, optional
        Of the accelerator, which every allocation exceeds; ∞ where the cores are too few for what it cannot run.
    """
    tenants = f"{len(problem.tenants)} tenants" if len(problem.tenants) > 1 else "one tenant"
    asked = f"{problem.total_rate_hz:,.{0 if problem.total_rate_hz >= 1000 else 2}f} requests a second of {tenants}"
    sentence = (
        f"{asked} are more than the accelerator and {problem.cpu_cores} CPU cores can serve with any partition points"
    )
    if utilisation is not None and np.isfinite(utilisation):
        sentence += (
            f": the accelerator's utilisation would be at least {utilisation:.3g}, even were nothing ever reloaded; at "
            f"less than {1 / utilisation:.3g} times these rates there may be one"
        )
    return TenancySolution("infeasible", method, clashes=(sentence,))
