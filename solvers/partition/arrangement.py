"""A linear arrangement of groups in which few nets are open at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .reduced import Reduced


def arrangement(groups: Reduced) -> NDArray[np.int64]:
    """Order of the groups, greedily: next comes the one that leaves the fewest nets open, then the oldest open net.

    A net is open from its first group to its last.
    """
    left = np.diff(groups.pins.start).tolist()
    opened = [-1] * groups.n_nets
    nets = [groups.nets[i].tolist() for i in range(groups.n_groups)]
    placed = np.zeros(groups.n_groups, dtype=np.bool_)
    near: set[int] = set()
    order: list[int] = []
    by_degree = sorted(range(groups.n_groups), key=lambda i: (len(nets[i]), i))
    while len(order) < groups.n_groups:
        if near:
            best = min(near, key=lambda i: (_opened(i, nets, left, opened), _age(i, nets, opened), i))
        else:
            best = next(i for i in by_degree if not placed[i])
        near.discard(best)
        placed[best] = True
        order.append(best)
        for e in nets[best]:
            left[e] -= 1
            if opened[e] < 0:
                opened[e] = len(order)
                near.update(int(j) for j in groups.pins[e] if not placed[j])
    return np.array(order, dtype=np.int64)


def _opened(i: int, nets: list[list[int]], left: list[int], opened: list[int]) -> int:
    """How many more nets are open once group i is placed."""
    return sum((opened[e] < 0 and left[e] > 1) - (opened[e] >= 0 and left[e] == 1) for e in nets[i])


def _age(i: int, nets: list[list[int]], opened: list[int]) -> int:
    return min((opened[e] for e in nets[i] if opened[e] >= 0), default=0)
