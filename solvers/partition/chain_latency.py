"""Latency of one sample along a topological order: segments of the order run one after the other.

`value[j, b]` is the earliest finish of the first j groups with b blocks used, if no two segments overlap. A segment is
a block of an accelerator, or runs on the CPU in the time of its longest path. O(orders · g² · blocks).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...formulation.compiled import njit
from ...formulation.evaluate_partition import MEMORY_TOLERANCE
from ..stop import Stop
from .orders import random_order
from .reduced import Reduced, Rows
from .watch import Watch


@njit(cache=True, nogil=True)
def _cut(
    order, pred_start, pred, pin_start, pin_net, net_size, net_cost, accelerator, cpu, size, capacity, blocks, stop
):
    g = len(order)
    place = np.empty(g, dtype=np.int64)
    for t in range(g):
        place[order[t]] = t
    value = np.full((g + 1, blocks + 1), np.inf)
    source = np.zeros((g + 1, blocks + 1), dtype=np.int64)
    on_cpu = np.zeros((g + 1, blocks + 1), dtype=np.bool_)
    inside = np.zeros(len(net_cost), dtype=np.int64)
    path = np.zeros(g)
    value[0, 0] = 0.0
    for i in range(g):
        if stop[0]:
            break
        inside[:] = 0
        computed, held, moved, longest = 0.0, 0.0, 0.0, 0.0
        able = True
        for j in range(i, g):
            v = order[j]
            computed += accelerator[v]
            held += size[v]
            able = able and computed < np.inf and held <= capacity
            for p in range(pin_start[v], pin_start[v + 1]):
                e = pin_net[p]
                inside[e] += 1
                if inside[e] == 1:
                    moved += net_cost[e]
                elif inside[e] == net_size[e]:
                    moved -= net_cost[e]
            ready = 0.0
            for p in range(pred_start[v], pred_start[v + 1]):
                if place[pred[p]] >= i:
                    ready = max(ready, path[pred[p]])
            path[v] = ready + cpu[v]
            longest = max(longest, path[v])
            for b in range(blocks + 1):
                if value[i, b] + longest < value[j + 1, b]:
                    value[j + 1, b] = value[i, b] + longest
                    source[j + 1, b] = i
                    on_cpu[j + 1, b] = True
                if able and b < blocks and value[i, b] + computed + moved < value[j + 1, b + 1]:
                    value[j + 1, b + 1] = value[i, b] + computed + moved
                    source[j + 1, b + 1] = i
                    on_cpu[j + 1, b + 1] = False
    best = 0
    for b in range(blocks + 1):
        if value[g, b] < value[g, best]:
            best = b
    block = np.full(g, -1, dtype=np.int64)
    at, b = g, best
    while at > 0 and value[g, best] < np.inf:
        begin = source[at, b]
        if not on_cpu[at, b]:
            for t in range(begin, at):
                block[order[t]] = b - 1
            b -= 1
        at = begin
    return value[g, best], block


def best_segments(groups: Reduced, n_orders: int, seed: int, stop: Stop) -> NDArray[np.int64]:
    """Block of each group, -1 for the CPU, in the best segmentation of some topological orders.

    Blocks are numbered in their order along the chain; each fits an accelerator's memory alone.
    """
    problem = groups.problem
    rng = np.random.default_rng(seed)
    before = Rows.of(groups.edges[:, 1], groups.edges[:, 0], groups.n_groups)
    best, blocks = np.inf, np.full(groups.n_groups, -1, dtype=np.int64)
    with Watch(stop) as watch:
        for trial in range(n_orders):
            value, found = _cut(
                random_order(groups, rng if trial else None),
                before.start,
                before.value,
                groups.nets.start,
                groups.nets.value,
                np.diff(groups.pins.start),
                groups.net_cost,
                groups.accelerator,
                groups.cpu,
                groups.size,
                problem.accelerator_bytes * (1 + MEMORY_TOLERANCE),
                problem.n_accelerators * problem.blocks,
                watch.stopped,
            )
            if value < best:
                best, blocks = value, found
            if stop():
                break
    return blocks


def packed(groups: Reduced, block: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Device and block of each group: blocks of a chain shared out to accelerators, the largest first.

    None where the blocks do not fit.
    """
    problem = groups.problem
    k, q = problem.n_accelerators, problem.blocks
    used = np.unique(block[block >= 0])
    size = {int(b): float(groups.size[block == b].sum()) for b in used}
    held = np.zeros(k)
    taken: list[list[int]] = [[] for _ in range(k)]
    for b in sorted(size, key=lambda b: (-size[b], b)):
        room = [
            a
            for a in range(k)
            if len(taken[a]) < q and held[a] + size[b] <= problem.accelerator_bytes * (1 + MEMORY_TOLERANCE)
        ]
        if not room:
            return None
        a = min(room, key=lambda a: (held[a], a))
        taken[a].append(b)
        held[a] += size[b]
    device = np.full(groups.n_groups, k, dtype=np.int64)
    turn = np.zeros(groups.n_groups, dtype=np.int64)
    for a in range(k):
        for place, b in enumerate(sorted(taken[a])):
            device[block == b] = a
            turn[block == b] = place
    return device, turn
