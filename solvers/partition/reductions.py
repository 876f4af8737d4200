"""Exact reductions of a max-load partition that need not be contiguous, given a load that is to be improved on.

Each rule joins two groups and says why some partition below the load `limit` still exists if one did:

- *Inseparable.* A net of two groups g and h: whoever is on an accelerator while the other is elsewhere is busy for the
  net's cost and its own time. If that is more than `limit` for every way to part them, they share a device.
- *Dominant net.* A net {g, h} that costs at least the accelerator's time of g and all its other nets together, where h
  cannot be on a CPU core below `limit`: moving g to the accelerator of h adds no more there than the net saves, and the
  device that g leaves saves at least what its other nets then cost it. All groups must fit one memory, or g takes none.

Both hold for loads strictly below `limit` only: use an objective in hand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...formulation.evaluate_partition import MEMORY_TOLERANCE
from .reduced import Reduced

_ROUNDING = 1e-12


def shrunk(groups: Reduced, limit: float) -> Reduced:
    """Join groups by the rules until none applies; partitions of the result are partitions of `groups`.

    Parameters
    ----------
    groups : Reduced
        Of a max-load problem without contiguity.
    limit : float
        Only partitions with a smaller largest load are of interest.
    """
    while True:
        label = _joined(groups, limit)
        if label is None:
            return groups
        groups = groups.merged(label)


def _joined(groups: Reduced, limit: float) -> NDArray[np.int64] | None:
    problem = groups.problem
    label = np.arange(groups.n_groups)
    touched = np.zeros(groups.n_groups, dtype=np.bool_)
    roomy = groups.size.sum() <= problem.accelerator_bytes * (1 + MEMORY_TOLERANCE)
    for e in np.argsort(-groups.net_cost, kind="stable"):
        pins = groups.pins[int(e)]
        if len(pins) != 2 or touched[pins].any():
            continue
        g, h = (int(p) for p in pins)
        cost = float(groups.net_cost[e])
        if (
            _inseparable(groups, g, h, cost, limit)
            or _dominant(groups, g, h, cost, limit, roomy)
            or _dominant(groups, h, g, cost, limit, roomy)
        ):
            label[h] = label[g]
            touched[pins] = True
    return label if touched.any() else None


def _inseparable(groups: Reduced, g: int, h: int, cost: float, limit: float) -> bool:
    k, m = groups.problem.n_accelerators, groups.problem.n_cpus
    bar = limit * (1 + _ROUNDING)
    g_accelerator, h_accelerator = (groups.accelerator[x] + cost <= bar and k > 0 for x in (g, h))
    g_cpu, h_cpu = (groups.cpu[x] <= bar and m > 0 for x in (g, h))
    parted = (
        (g_accelerator and h_accelerator and k > 1)
        or (g_accelerator and h_cpu)
        or (g_cpu and h_accelerator)
        or (g_cpu and h_cpu and m > 1)
    )
    return not parted


def _dominant(groups: Reduced, g: int, h: int, cost: float, limit: float, roomy: bool) -> bool:
    """Whether g may follow h: see the module's text."""
    on_cpu = groups.problem.n_cpus > 0 and groups.cpu[h] <= limit * (1 + _ROUNDING)
    if on_cpu or not np.isfinite(groups.accelerator[g]) or not (roomy or groups.size[g] == 0):
        return False
    others = float(groups.net_cost[groups.nets[g]].sum()) - cost
    return cost >= (float(groups.accelerator[g]) + others) * (1 + _ROUNDING)
