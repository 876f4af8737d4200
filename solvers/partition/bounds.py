"""Bounds on the largest load that need no search."""

from __future__ import annotations

import numpy as np

from .reduced import Reduced


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
