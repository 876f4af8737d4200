"""Inner loops of exact chain fronts, compiled: one layer appended to every label, and the best single way.

Import this module only where a loop is about to run: it loads numba.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...formulation.compiled import njit

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@njit(cache=True)
def append_layer(
    latency: Floats,
    memory: Floats,
    offsets: Integers,
    enter_us: Floats,
    enter_bytes: Floats,
    layer_us: Floats,
    layer_bytes: Floats,
    tolerance: float,
    latency_cap: Floats,
    memory_cap: Floats,
    new_latency: Floats,
    new_memory: Floats,
    parent: NDArray[np.int32],
    new_offsets: Integers,
) -> None:
    """Append one layer to every label and keep, for each configuration, those that no other dominates.

    Labels of configuration c stand at ``offsets[c] … offsets[c + 1]``, by growing latency and falling memory; so do the
    new ones. ``parent`` is (index of the label before) · C + (its configuration). A label is dropped where memory is
    within a factor 1 + tolerance of a kept one that is no slower, or where a cap is exceeded.
    """
    n = len(layer_us)
    head = np.empty(n, dtype=np.int64)
    x = np.empty(n)
    y = np.empty(n)
    used = 0
    for c in range(n):
        new_offsets[c] = used
        if not np.isfinite(layer_us[c]):
            continue
        open_lists = 0
        for s in range(n):
            head[s] = offsets[s]
            x[s] = np.inf
            if offsets[s] < offsets[s + 1] and np.isfinite(enter_us[s, c]):
                x[s] = (latency[head[s]] + enter_us[s, c]) + layer_us[c]
                y[s] = (memory[head[s]] + enter_bytes[s, c]) + layer_bytes[c]
                open_lists += 1
        last = np.inf
        while open_lists > 0:
            # Staying under the same configuration comes first among equals: fewer segments.
            best = c
            for s in range(n):
                if x[s] < x[best] or (x[s] == x[best] and x[s] < np.inf and y[s] < y[best]):
                    best = s
            if x[best] > latency_cap[c]:
                break
            if y[best] * (1.0 + tolerance) < last and y[best] <= memory_cap[c]:
                last = y[best]
                new_latency[used] = x[best]
                new_memory[used] = last
                parent[used] = (head[best] - offsets[best]) * n + best
                used += 1
            k = head[best] + 1
            end = offsets[best + 1]
            extra = enter_bytes[best, c]
            while k < end and ((memory[k] + extra) + layer_bytes[c]) * (1.0 + tolerance) >= last:
                k += 1
            head[best] = k
            if k < end:
                x[best] = (latency[k] + enter_us[best, c]) + layer_us[c]
                y[best] = (memory[k] + extra) + layer_bytes[c]
            else:
                x[best] = np.inf
                open_lists -= 1
    new_offsets[n] = used


@njit(cache=True)
def append_layer_three(
    latency: Floats,
    memory: Floats,
    third: Floats,
    offsets: Integers,
    enter_us: Floats,
    enter_bytes: Floats,
    enter_third: Floats,
    layer_us: Floats,
    layer_bytes: Floats,
    layer_third: Floats,
    adds_up: bool,
    tolerance: float,
    latency_cap: Floats,
    memory_cap: Floats,
    new_latency: Floats,
    new_memory: Floats,
    new_third: Floats,
    parent: NDArray[np.int32],
    new_offsets: Integers,
) -> None:
    """As `append_layer`, with a third figure that adds up or of which the largest counts.

    Labels of a configuration stand by growing latency only. Along them, a prefix minimum of memory over the ranks of
    the third figure (a Fenwick tree) tells whether a label before is no worse in all three.
    """
    n = len(layer_us)
    total = len(latency)
    x = np.empty(total)
    y = np.empty(total)
    z = np.empty(total)
    source = np.empty(total, dtype=np.int64)
    used = 0
    for c in range(n):
        new_offsets[c] = used
        if not np.isfinite(layer_us[c]):
            continue
        m = 0
        for s in range(n):
            if not np.isfinite(enter_us[s, c]):
                continue
            for k in range(offsets[s], offsets[s + 1]):
                x[m] = (latency[k] + enter_us[s, c]) + layer_us[c]
                y[m] = (memory[k] + enter_bytes[s, c]) + layer_bytes[c]
                if x[m] > latency_cap[c] or y[m] > memory_cap[c]:
                    continue
                if adds_up:
                    z[m] = (third[k] + enter_third[s, c]) + layer_third[c]
                else:
                    z[m] = max(third[k], layer_third[c])
                source[m] = (k - offsets[s]) * n + s
                m += 1
        levels = np.unique(z[:m])
        tree = np.full(len(levels) + 1, np.inf)
        # Sorting by memory, third and latency in turn, each time stably, sorts by latency, then third, then memory.
        order = np.argsort(y[:m], kind="mergesort")
        order = order[np.argsort(z[order], kind="mergesort")]
        order = order[np.argsort(x[order], kind="mergesort")]
        for k in order:
            rank = np.searchsorted(levels, z[k]) + 1
            least = np.inf
            i = rank
            while i > 0:
                least = min(least, tree[i])
                i -= i & -i
            if y[k] * (1.0 + tolerance) >= least:
                continue
            new_latency[used] = x[k]
            new_memory[used] = y[k]
            new_third[used] = z[k]
            parent[used] = source[k]
            used += 1
            i = rank
            while i <= len(levels):
                tree[i] = min(tree[i], y[k])
                i += i & -i
    new_offsets[n] = used


@njit(cache=True)
def best_way(
    layer_us: Floats,
    layer_bytes: Floats,
    enter_us: Floats,
    enter_bytes: Floats,
    end_us: Floats,
    us_weight: float,
    bytes_weight: float,
) -> tuple[NDArray[np.int16], float, float, bool]:
    """The way that minimises a weighting of latency and memory, the rest of the two where that is equal.

    Entry (i, s, c) of the costs to enter: from configuration s before layer i to c; those of layer 0 are in row 0.

    Returns
    -------
    configurations, shape (n,); latency; memory; whether there is a way.
    """
    n, width = layer_us.shape
    value = np.full(width, np.inf)
    latency = np.zeros(width)
    memory = np.zeros(width)
    source = np.zeros((n, width), dtype=np.int16)
    for i in range(n):
        next_value = np.full(width, np.inf)
        next_latency = np.zeros(width)
        next_memory = np.zeros(width)
        for c in range(width):
            if not np.isfinite(layer_us[i, c]):
                continue
            for s in range(width if i else 1):
                if not np.isfinite(enter_us[i, s, c]) or (i and not np.isfinite(value[s])):
                    continue
                t = ((latency[s] if i else 0.0) + enter_us[i, s, c]) + layer_us[i, c]
                b = ((memory[s] if i else 0.0) + enter_bytes[i, s, c]) + layer_bytes[i, c]
                v = us_weight * t + bytes_weight * b
                if v < next_value[c] or (
                    v == next_value[c]
                    and (
                        (t <= next_latency[c] and b <= next_memory[c])
                        or (us_weight == 0.0 and t < next_latency[c])
                        or (bytes_weight == 0.0 and b < next_memory[c])
                    )
                ):
                    next_value[c], next_latency[c], next_memory[c] = v, t, b
                    source[i, c] = s
        value, latency, memory = next_value, next_latency, next_memory
    best = -1
    t_best, b_best, v_best = np.inf, np.inf, np.inf
    for c in range(width):
        if not np.isfinite(value[c]) or not np.isfinite(end_us[c]):
            continue
        t = latency[c] + end_us[c]
        v = us_weight * t + bytes_weight * memory[c]
        smaller = (us_weight == 0.0 and t < t_best) or (bytes_weight == 0.0 and memory[c] < b_best)
        if v < v_best or (v == v_best and smaller):
            best, t_best, b_best, v_best = c, t, memory[c], v
    way = np.zeros(n, dtype=np.int16)
    if best < 0:
        return way, t_best, b_best, False
    c = best
    for i in range(n - 1, -1, -1):
        way[i] = c
        c = source[i, c]
    return way, t_best, b_best, True


@njit(cache=True)
def follow_parents(
    parent: NDArray[np.int32], offsets: Integers, configuration: NDArray[np.int16], index: Integers
) -> None:
    """Step every (configuration, index within it) back to the label before, in place."""
    n = len(offsets) - 1
    for k in range(len(index)):
        packed = parent[offsets[configuration[k]] + index[k]]
        configuration[k] = packed % n
        index[k] = packed // n
