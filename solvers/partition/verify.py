"""Nothing leaves `solve` unchecked: every partition is scored again, and a solver that disagrees is a bug."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...formulation import CostError, PartitionProblem, capped, evaluate_partition
from ..claims import SolverBugError, agreed_bound, refuse_wrong_parts
from .solution import PartitionSolution


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
    refuse_wrong_parts(who, solution.status, solution.partition, solution.clashes)
    if solution.partition is None:
        return solution
    evaluation = evaluate_partition(problem, solution.partition)
    if not evaluation.feasible:
        raise SolverBugError(f"{who}: its partition breaks limits: {capped(evaluation.violations)}")
    bound = agreed_bound(who, solution.objective, solution.bound, evaluation.objective)
    return replace(solution, evaluation=evaluation, bound=bound)
