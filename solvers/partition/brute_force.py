"""Every partition, scored by the evaluator: the oracle that other solvers are held against."""

from __future__ import annotations

from itertools import product

import numpy as np

from ...formulation import Partition, PartitionProblem, evaluate_partition
from ..stop import Stop
from .features import PartitionFeatures
from .solution import PartitionSolution


class BruteForce:
    """Looks at every partition of a small graph."""

    name = "brute_force"
    features = PartitionFeatures(frozenset({"max-load", "latency"}), exact=True, max_partitions=60_000)

    def solve(self, problem: PartitionProblem, stop: Stop, seed: int) -> PartitionSolution:
        """Solve; see `edgeplan.solvers.solve`."""
        k, latency = problem.n_accelerators, problem.objective == "latency"
        blocks = problem.blocks if latency else 1
        places = [(a, b) for a in range(k) for b in range(blocks)]
        places += [(k + c, 0) for c in range(1 if latency else problem.n_cpus)]
        best, value, complete = None, float("inf"), True
        for chosen in product(places, repeat=problem.n_nodes):
            if stop():
                complete = False
                break
            partition = Partition.of(*np.array(chosen).T)
            evaluation = evaluate_partition(problem, partition)
            if evaluation.feasible and evaluation.objective < value:
                best, value = partition, evaluation.objective
        if best is None:
            status = "infeasible" if complete else "timeout"
            return PartitionSolution(status, self.name, clashes=("no partition keeps every limit",) if complete else ())
        bound = value if complete else None
        return PartitionSolution("optimal" if complete else "feasible", self.name, value, bound, partition=best)
