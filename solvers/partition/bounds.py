"""Bounds on the largest load that need no search."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...formulation import PartitionProblem
from .reduced import Reduced, Rows


def average_load(reduced: Reduced) -> float:
    """A lower bound: the longest group where it runs fastest, and all work spread evenly over all devices.

    Work is time on an accelerator; a CPU core that is busy for a time L takes at most L times the largest ratio of
    accelerator time to CPU time. Groups that one kind of device runs in no time weigh nothing.
    """
    problem = reduced.problem
    k, m = problem.n_accelerators, problem.n_cpus
    fastest = np.minimum(reduced.accelerator if k else np.inf, reduced.cpu if m else np.inf)
    bound = float(fastest.max(initial=0.0))
    # Work that only the CPU can take fills its cores; of the rest each core takes at its best ratio.
    only_cpu = np.isinf(reduced.accelerator) if k else np.ones(reduced.n_groups, dtype=np.bool_)
    if m:
        bound = max(bound, float(reduced.cpu[only_cpu].sum()) / m)
    if not k:
        return bound
    both = ~only_cpu & ((reduced.cpu > 0) if m else True)
    work = float(reduced.accelerator[both].sum())
    ratio = float((reduced.accelerator[both] / reduced.cpu[both]).max(initial=0.0)) if m else 0.0
    return max(bound, work / (k + m * ratio))


def highest_load(reduced: Reduced) -> float:
    """An upper bound on the largest load of every partition that can run."""
    runs = reduced.accelerator[np.isfinite(reduced.accelerator)]
    return float(runs.sum() + reduced.cpu.sum() + reduced.net_cost.sum())


def longest_path(problem: PartitionProblem) -> float:
    """A lower bound on the latency of one sample: the longest path, each of its nodes and moves as cheap as can be."""
    return float(earliest(problem).min(axis=1).max())


def earliest(problem: PartitionProblem) -> NDArray[np.float64]:
    """Lower bounds on when each node is done inside a block, and on the CPU, shape (n, 2).

    An output that changes between the two is moved once.
    """
    n = problem.n_nodes
    before = Rows.of(problem.edges[:, 1], problem.edges[:, 0], n)
    waiting = np.diff(before.start)
    after = Rows.of(problem.edges[:, 0], problem.edges[:, 1], n)
    accelerator = problem.accelerator_time if problem.n_accelerators else np.full(n, np.inf)
    ready = np.flatnonzero(waiting == 0).tolist()
    least = np.zeros((n, 2))
    for v in ready:
        inside, outside = 0.0, 0.0
        for u in before[v]:
            move = float(problem.transfer_time[u])
            inside = max(inside, min(least[u, 0], least[u, 1] + move))
            outside = max(outside, min(least[u, 1], least[u, 0] + move))
        least[v] = inside + accelerator[v], outside + problem.cpu_time[v]
        for w in after[v]:
            waiting[w] -= 1
            if waiting[w] == 0:
                ready.append(int(w))
    return least
