"""Depth-first search of one slice: every choice of partition points that its bound leaves open is scored exactly."""

from __future__ import annotations

import numpy as np

from ...formulation.compiled import njit
from .kernels import response_total
from .options import FULL, NONE, PARTIAL, options_of
from .slices import completion, shift_of, slice_costs


@njit(cache=True, nogil=True)
def _by_spread(cost, load, taken, count, on_load, on_bytes):
    """Tenants by how much their choice matters: the spread of their least priced cost over options, largest first."""
    n = cost.shape[0]
    spread = np.zeros(n)
    priced_load = load[0] if on_load >= 0.0 else load[1]
    for i in range(n):
        smallest, largest = np.inf, -np.inf
        for j in range(count[i]):
            least = cost[i, j].min() + on_load * priced_load[i, j] + on_bytes * taken[i, j]
            if least < np.inf:
                smallest, largest = min(smallest, least), max(largest, least)
        spread[i] = largest - smallest
    return np.argsort(-spread)


@njit(cache=True, nogil=True)
def _memory_order(share, order_out):
    """Tenants in the order in which they are given the memory: all they can use, then the one in part, the rest."""
    filled = 0
    for wanted in (FULL, PARTIAL, NONE):
        for i in range(len(share)):
            if share[i] == wanted:
                order_out[filled] = i
                filled += 1


@njit(cache=True, nogil=True)
def search_slice(
    rate, on, partial, low, high, on_load, on_bytes, tables, waits, incumbent, best_point, best_order, budget
):
    """Enumerate the choices that may beat the incumbent in a slice; better ones overwrite point and order.

    A node holds, for every number of cores, the least cost of the tenants chosen so far; the rest is bounded by
    `completion`.

    Parameters
    ----------
    budget : int
        Nodes after which the search gives up.

    Returns
    -------
    incumbent : float
    nodes, leaves : int
        More nodes than `budget` where it gave up.
    """
    options = options_of(on, partial, tables)
    cost, load = slice_costs(rate, on, low, high, options, tables, waits)
    n, _, width = cost.shape
    place = _by_spread(cost, load, options.bytes, options.choices, on_load, on_bytes)
    cost, load, taken, count = cost[place], load[:, place], options.bytes[place], options.choices[place]
    taken_most = options.bytes_most[place]
    least = completion(cost, load, taken, count, on_load, on_bytes)
    shift = shift_of(on_load, on_bytes, low, high, tables.capacity_bytes)
    rest_low, rest_high = np.zeros(n + 1), np.zeros(n + 1)
    most_bytes, rest_bytes = np.zeros(n + 1), np.zeros(n + 1)
    for i in range(n - 1, -1, -1):
        rest_low[i] = rest_low[i + 1] + load[0, i, : count[i]].min()
        rest_high[i] = rest_high[i + 1] + load[1, i, : count[i]].max()
        rest_bytes[i] = rest_bytes[i + 1] + taken_most[i, : count[i]].max()
    at_least, at_most = low * (1.0 - 1e-12), high * (1.0 + 1e-12)
    spent = np.zeros((n + 1, width))
    least_load, most_load, filled = np.zeros(n + 1), np.zeros(n + 1), np.zeros(n + 1)
    priced_load = load[0] if on_load >= 0.0 else load[1]
    choice = np.zeros(n, dtype=np.int64)
    point, share, order = np.zeros(n, np.int64), np.zeros(n, np.int64), np.arange(n)
    cores, threads = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    nodes, leaves, depth = 0, 0, 0
    choice[0] = -1
    while depth >= 0:
        choice[depth] += 1
        j = choice[depth]
        if j >= count[depth]:
            depth -= 1
            continue
        at_low, at_high = least_load[depth] + load[0, depth, j], most_load[depth] + load[1, depth, j]
        if at_low + rest_low[depth + 1] > at_most or at_high + rest_high[depth + 1] < at_least:
            continue
        bytes_now = filled[depth] + taken[depth, j]
        if bytes_now > tables.capacity_bytes:
            continue
        most_now = most_bytes[depth] + taken_most[depth, j]
        if partial >= 0 and most_now + rest_bytes[depth + 1] < tables.capacity_bytes:
            continue  # the partial tenant would be given more than this range
        nodes += 1
        if nodes > budget:
            break
        priced = on_load * priced_load[depth, j] + on_bytes * taken[depth, j] + (shift if depth == 0 else 0.0)
        bound = np.inf
        for c in range(width):
            value = np.inf
            for own in range(c + 1):
                value = min(value, cost[depth, j, own] + spent[depth, c - own])
            spent[depth + 1, c] = value + priced
            bound = min(bound, spent[depth + 1, c] + least[depth + 1, width - 1 - c])
        if bound >= incumbent:
            continue
        i = place[depth]
        point[i], share[i] = options.point[i, j], options.share[i, j]
        if depth < n - 1:
            depth += 1
            least_load[depth], most_load[depth] = at_low, at_high
            filled[depth], most_bytes[depth] = bytes_now, most_now
            choice[depth] = -1
            continue
        leaves += 1
        _memory_order(share, order)
        total = response_total(rate, point, order, tables, waits, True, cores, threads)
        if total < incumbent:
            incumbent = total
            best_point[:] = point
            best_order[:] = order
    return incumbent, nodes, leaves
