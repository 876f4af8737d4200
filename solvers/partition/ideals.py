"""Exact contiguous max-load partition by the dynamic program over ideals, with rising thresholds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...formulation import PartitionProblem, evaluate_partition
from ..stop import Share, Stop
from .bounds import average_load, highest_load
from .features import PartitionFeatures
from .ideal_lattice import IdealChain, search_ideals
from .orders import best_along_orders
from .reduced import Reduced, reduced
from .solution import PartitionSolution
from .watch import Watch

_FIRST_STEP = 0.01
_MEMORY_BYTES = 200e6
"""What the tables of the search may take."""

_ORDERS = 200


class IdealLattice:
    """Dynamic program over the ideals of the graph.

    Thresholds rise from a lower bound; each run that finds nothing proves that no partition is as good as its
    threshold, the first that finds something has found the optimum. Runs below the optimum are cheap. Where the graph
    is too wide, the best partition along random topological orders is returned with the highest threshold disproven.
    """

    name = "ideals"
    features = PartitionFeatures(frozenset({"max-load"}), exact=True, free=False)

    def solve(self, problem: PartitionProblem, stop: Stop, seed: int) -> PartitionSolution:
        """Solve; see `edgeplan.solvers.solve`."""
        groups = reduced(problem)
        bound, chain = self._rise(groups, Share(stop, 0.8))
        proven = chain is not None
        if chain is None and bound > highest_load(groups):
            return PartitionSolution("infeasible", self.name, clashes=(memory_clash(groups),))
        if chain is None:
            chain = best_along_orders(groups, _ORDERS, seed, stop)[1]
        if chain is None:
            return PartitionSolution("timeout", self.name, bound=bound)
        partition = groups.partition(devices_of(groups, chain))
        objective = evaluate_partition(problem, partition).objective
        return PartitionSolution(
            "optimal" if proven else "feasible",
            self.name,
            objective,
            objective if proven else min(bound, objective),
            partition=partition,
        )

    def _rise(self, groups: Reduced, stop: Stop) -> tuple[float, IdealChain | None]:
        """Highest threshold disproven, or the optimum's chain."""
        problem = groups.problem
        ceiling = highest_load(groups)
        bound = average_load(groups)
        states = (problem.n_accelerators + 1) * (problem.n_cpus + 1)
        room = int(_MEMORY_BYTES / (8 * (groups.n_groups // 64 + 1) + 20 * states + 60))
        step = max(_FIRST_STEP * bound, ceiling * 1e-9)
        threshold = bound * (1 + 1e-12)
        with Watch(stop) as watch:
            while True:
                found = search_ideals(groups, threshold, room, watch.stopped)
                if isinstance(found, IdealChain):
                    return bound, found
                if found:
                    return bound, None
                if threshold > ceiling:
                    return float("inf"), None
                bound = max(bound, threshold)
                threshold = min(bound + step, np.nextafter(ceiling * (1 + 1e-12), np.inf))
                step *= 2


def devices_of(groups: Reduced, chain: IdealChain) -> NDArray[np.int64]:
    """Device of each group: accelerators and CPU cores numbered in the order of the chain."""
    device = np.empty(groups.n_groups, dtype=np.int64)
    used = [0, groups.problem.n_accelerators]
    for level in np.unique(chain.level):
        here = chain.level == level
        kind = int(chain.kind[here][0])
        device[here] = used[kind]
        used[kind] += 1
    return device


def memory_clash(groups: Reduced) -> str:
    """Sentence for a problem that no partition solves; without a CPU core only memory can be in the way."""
    problem = groups.problem
    return (
        f"{problem.n_accelerators} accelerators of {problem.accelerator_bytes:.0f} bytes without a CPU core cannot "
        f"hold {groups.size.sum():.0f} bytes in {groups.n_groups} groups of at most {groups.size.max():.0f} bytes"
    )
