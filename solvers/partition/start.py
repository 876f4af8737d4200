"""Where searches without contiguity start, and how they answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...formulation import evaluate_partition
from ..stop import Share, Stop
from .ideals import IdealLattice
from .multilevel import Incumbent, random_devices
from .reduced import Reduced
from .solution import PartitionSolution

PROOF = 2e-6
"""Relative gap below which a partition counts as proven optimal: models of integers prove no less."""


def start(groups: Reduced, stop: Stop, seed: int) -> Incumbent:
    """The best contiguous partition that is found in a fifth of the time, else a random one that may not fit."""
    problem = groups.problem
    chain = IdealLattice().solve(problem.replace(contiguous=True), Share(stop, 0.2), seed)
    if chain.partition is not None and chain.objective is not None:
        return Incumbent(chain.partition.device, chain.objective)
    device = random_devices(groups, np.random.default_rng(seed))[groups.group]
    scored = evaluate_partition(problem, groups.partition(device[_first_nodes(groups)]))
    return Incumbent(device, scored.objective if scored.feasible else float("inf"))


def _first_nodes(groups: Reduced) -> NDArray[np.int64]:
    return np.unique(groups.group, return_index=True)[1]


def answered(method: str, groups: Reduced, incumbent: Incumbent, bound: float) -> PartitionSolution:
    """Solution with the incumbent, if there is one; optimal where it meets the bound within twice `PROOF`."""
    if not np.isfinite(incumbent.value):
        return PartitionSolution("timeout", method, bound=bound)
    partition = groups.partition(incumbent.device[_first_nodes(groups)])
    objective = evaluate_partition(groups.problem, partition).objective
    optimal = bound >= objective * (1 - 2 * PROOF)
    status = "optimal" if optimal else "feasible"
    return PartitionSolution(status, method, objective, min(bound, objective), partition=partition)
