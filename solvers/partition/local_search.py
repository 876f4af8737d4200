"""Max-load partition by multilevel annealing alone: good partitions fast, no proof."""

from __future__ import annotations

import numpy as np

from ...formulation import PartitionProblem, evaluate_partition
from ..stop import Share, Stop
from .bounds import average_load, highest_load
from .features import PartitionFeatures
from .ideals import IdealLattice
from .multilevel import Incumbent, cycle, random_devices
from .reduced import Reduced, reduced
from .solution import PartitionSolution
from .watch import Watch

_CYCLES = 60
"""After which it ends, so that the same seed gives the same partition."""


class LocalSearch:
    """Multilevel annealing from the best contiguous partition.

    Parameters
    ----------
    cycles : int
    """

    name = "local_search"
    features = PartitionFeatures(frozenset({"max-load"}), exact=False, contiguous=False)

    def __init__(self, cycles: int = _CYCLES) -> None:
        self._cycles = cycles

    def solve(self, problem: PartitionProblem, stop: Stop, seed: int) -> PartitionSolution:
        """Solve; see `edgeplan.solvers.solve`."""
        rng = np.random.default_rng(seed)
        groups = reduced(problem)
        incumbent = start(groups, stop, seed)
        with Watch(stop) as watch:
            for _ in range(self._cycles):
                if stop():
                    break
                cycle(groups, incumbent, min(incumbent.value, highest_load(groups)), rng, watch.stopped)
        return answer(self.name, groups, incumbent, average_load(groups))


def start(groups: Reduced, stop: Stop, seed: int) -> Incumbent:
    """The best contiguous partition that is found in a fifth of the time, else a random one that may not fit."""
    problem = groups.problem
    chain = IdealLattice().solve(problem.replace(contiguous=True), Share(stop, 0.2), seed)
    if chain.partition is not None and chain.objective is not None:
        return Incumbent(chain.partition.device, chain.objective)
    device = random_devices(groups, np.random.default_rng(seed))[groups.group]
    scored = evaluate_partition(problem, groups.partition(device[_first_nodes(groups)]))
    return Incumbent(device, scored.objective if scored.feasible else float("inf"))


def _first_nodes(groups: Reduced) -> np.ndarray:
    return np.unique(groups.group, return_index=True)[1]


def answer(method: str, groups: Reduced, incumbent: Incumbent, bound: float) -> PartitionSolution:
    """Solution with the incumbent, if there is one; optimal where it meets the bound."""
    if not np.isfinite(incumbent.value):
        return PartitionSolution("timeout", method, bound=bound)
    partition = groups.partition(incumbent.device[_first_nodes(groups)])
    objective = evaluate_partition(groups.problem, partition).objective
    optimal = bound >= objective * (1 - 1e-9)
    status = "optimal" if optimal else "feasible"
    return PartitionSolution(status, method, objective, min(bound, objective), partition=partition)
