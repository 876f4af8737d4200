"""Contiguous partitions along topological orders: cut an order into segments, one a device."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...formulation.compiled import njit
from ...formulation.evaluate_partition import MEMORY_TOLERANCE
from ..stop import Stop
from .ideal_lattice import IdealChain
from .reduced import Reduced, Rows
from .watch import Watch


@njit(cache=True, nogil=True)
def _best_cut(order, pin_start, pin_net, net_size, net_cost, time, size, counts, capacity, best, kind, level, stopped):
    """Cut one order optimally; fill `kind` and `level` where that is better than `best`.

    `value[j, s]` is the smallest largest load of the first j groups on the devices of state s = a · (m + 1) + c.
    """
    g = len(order)
    k, m = counts[0], counts[1]
    states = (k + 1) * (m + 1)
    inside = np.zeros(len(net_cost), dtype=np.int64)
    value = np.full((g + 1, states), np.inf)
    source = np.full((g + 1, states), -1, dtype=np.int64)
    via = np.zeros((g + 1, states), dtype=np.int8)
    value[0, 0] = 0.0
    for i in range(g):
        if stopped[0]:
            return best
        for which in range(2):
            inside[:] = 0
            computed, held, moved = 0.0, 0.0, 0.0
            for j in range(i, g):
                v = order[j]
                computed += time[which, v]
                held += size[v]
                if computed >= best or (which == 0 and held > capacity):
                    break
                for p in range(pin_start[v], pin_start[v + 1]):
                    e = pin_net[p]
                    inside[e] += 1
                    if inside[e] == 1:
                        moved += net_cost[e]
                    elif inside[e] == net_size[e]:
                        moved -= net_cost[e]
                load = computed + (moved if which == 0 else 0.0)
                for s in range(states):
                    if value[i, s] >= best or (s // (m + 1) == k if which == 0 else s % (m + 1) == m):
                        continue
                    t = s + (m + 1 if which == 0 else 1)
                    new = max(value[i, s], load)
                    if new < value[j + 1, t]:
                        value[j + 1, t] = new
                        source[j + 1, t] = i
                        via[j + 1, t] = which
    for s in range(states):
        if value[g, s] < best:
            best = value[g, s]
            at, t = g, s
            while at > 0:
                which = via[at, t]
                begin = source[at, t]
                for j in range(begin, at):
                    kind[order[j]] = which
                    level[order[j]] = t // (m + 1) + t % (m + 1) - 1
                t -= m + 1 if which == 0 else 1
                at = begin
    return best


def best_along_orders(reduced: Reduced, n_orders: int, seed: int, stop: Stop) -> tuple[float, IdealChain | None]:
    """Try random topological orders, each cut optimally: O(g · longest segment · k · m) an order.

    Parameters
    ----------
    reduced : Reduced
        With acyclic edges.
    n_orders : int
    seed : int
    stop : Stop

    Returns
    -------
    value : float
        Infinite where no order has a partition within memory.
    chain : IdealChain or None
    """
    problem = reduced.problem
    rng = np.random.default_rng(seed)
    kind = np.zeros(reduced.n_groups, dtype=np.int64)
    level = np.zeros(reduced.n_groups, dtype=np.int64)
    best = np.inf
    with Watch(stop) as watch:
        for trial in range(n_orders):
            best = _best_cut(
                random_order(reduced, rng if trial else None),
                reduced.nets.start,
                reduced.nets.value,
                np.diff(reduced.pins.start),
                reduced.net_cost,
                np.stack([reduced.accelerator, reduced.cpu]),
                reduced.size,
                np.array([problem.n_accelerators, problem.n_cpus], dtype=np.int64),
                problem.accelerator_bytes * (1 + MEMORY_TOLERANCE),
                best,
                kind,
                level,
                watch.stopped,
            )
            if stop():
                break
    return float(best), IdealChain(kind, level) if np.isfinite(best) else None


def random_order(reduced: Reduced, rng: np.random.Generator | None) -> NDArray[np.int64]:
    """A topological order of the groups; the numbering itself without `rng`.

    Mostly the group that became ready last comes next, which keeps producers near their consumers.
    """
    g = reduced.n_groups
    if rng is None:
        return np.arange(g)
    followers = Rows.of(reduced.edges[:, 0], reduced.edges[:, 1], g)
    waiting = np.bincount(reduced.edges[:, 1], minlength=g)
    ready = rng.permutation(np.flatnonzero(waiting == 0)).tolist()
    depth_first = rng.uniform(0.5, 1.0)
    order = []
    while ready:
        place = -1 if rng.random() < depth_first else int(rng.integers(len(ready)))
        i = ready.pop(place)
        order.append(i)
        for j in rng.permutation(followers[i]).tolist():
            waiting[j] -= 1
            if waiting[j] == 0:
                ready.append(j)
    return np.array(order, dtype=np.int64)
