"""Nothing leaves `solve` unchecked: every partition is scored again, and a solver that disagrees is a bug."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...formulation import CostError, PartitionProblem, capped, evaluate_partition
from ..verify import SolverBugError
from .solution import PartitionSolution

_ROUNDING = 1e-9
"""Relative slack between a bound and an objective: their sums of floats may be taken in another order."""


def refuse_unrunnable(problem: PartitionProblem) -> None:
    """Refuse problems with a node that no device can run.

    Raises
    ------
    CostError
        An accelerator cannot run some node, and there is no CPU.
    """
    stuck = np.flatnonzero(np.isinf(problem.accelerator_time))
    if len(stuck) and problem.n_cpus == 0 and problem.objective == "max-load":
        raise CostError(
            f"graph {problem.name!r}",
            expected="a device for every node",
            got=f"no CPU core, and no accelerator runs {capped(problem.ids[i] for i in stuck)}",
            remedy="Allow a CPU core.",
        )


def verified(problem: PartitionProblem, solution: PartitionSolution) -> PartitionSolution:
    """Score the partition of a solution by the evaluator and attach the evaluation.

    Raises
    ------
    SolverBugError
        The partition breaks a limit; the objective or the bound is not what the evaluator finds.
    """
    who = f"solver {solution.method!r} ({solution.status})"
    if (solution.status in ("optimal", "feasible")) != (solution.partition is not None):
        raise SolverBugError(f"{who}: the partition does not fit the status")
    if solution.status == "infeasible" and not solution.clashes:
        raise SolverBugError(f"{who}: nothing is named that clashes")
    if solution.partition is None:
        return solution
    evaluation = evaluate_partition(problem, solution.partition)
    if not evaluation.feasible:
        raise SolverBugError(f"{who}: its partition breaks limits: {capped(evaluation.violations)}")
    if solution.objective != evaluation.objective:
        raise SolverBugError(f"{who}: objective {solution.objective}, but the evaluator says {evaluation.objective}")
    if solution.bound is not None and solution.bound > evaluation.objective * (1 + _ROUNDING):
        raise SolverBugError(f"{who}: bound {solution.bound} above its own objective {evaluation.objective}")
    bound = None if solution.bound is None else min(solution.bound, evaluation.objective)
    return replace(solution, evaluation=evaluation, bound=bound)
