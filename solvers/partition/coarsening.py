"""Coarser versions of a partition problem: groups that share costly nets are joined at random.

Moves of such clusters cross barriers that moves of single groups cannot: a net that costs more than the groups around
it holds them together. Multilevel partitioning: Karypis et al. 1999, doi 10.1109/92.748202.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .reduced import Reduced


def coarser(
    groups: Reduced,
    n_clusters: int,
    largest: float,
    rng: np.random.Generator,
    device: NDArray[np.int64] | None = None,
) -> Reduced:
    """Join pairs of groups that share costly nets, the most costly ones mostly first.

    Parameters
    ----------
    groups : Reduced
    n_clusters : int
        Stop when so many are left.
    largest : float
        Longest time on an accelerator of a cluster.
    rng : numpy.random.Generator
    device : ndarray of int, shape (g,), optional
        Join only groups on one device, so that this partition survives.
    """
    pins = groups.pins
    net = np.repeat(np.arange(groups.n_nets), np.diff(pins.start) - 1)
    ends = np.ones(len(pins.value), dtype=np.bool_)
    ends[pins.start[1:] - 1] = False
    first = np.flatnonzero(ends)
    pairs = np.column_stack([pins.value[first], pins.value[first + 1]])
    rating = groups.net_cost[net] / (np.diff(pins.start)[net] - 1)
    rating = rating * rng.exponential(1.0, len(rating)) ** rng.choice([0.5, 1.0, 2.0])
    if device is not None:
        kept = device[pairs[:, 0]] == device[pairs[:, 1]]
        pairs, rating = pairs[kept], rating[kept]
    root = list(range(groups.n_groups))
    time = groups.accelerator.tolist()
    left = groups.n_groups

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for a, b in pairs[np.argsort(-rating, kind="stable")].tolist():
        if left <= n_clusters:
            break
        a, b = find(a), find(b)
        both = time[a] + time[b]
        # Groups that only the CPU runs join their like, never others.
        if a != b and (both <= largest or (np.isinf(time[a]) and np.isinf(time[b]))):
            root[b] = a
            time[a] = both
            left -= 1
    return groups.merged(np.array([find(i) for i in range(groups.n_groups)], dtype=np.int64))
