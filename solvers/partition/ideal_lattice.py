"""Dynamic program over the ideals of a graph: the contiguous partition of smallest largest load.

An ideal is a set of groups that holds every predecessor of its members. A contiguous partition is a chain of ideals
∅ = I_0 ⊂ I_1 ⊂ … ⊂ V: device j runs I_j ∖ I_{j-1}. `value[I, a, c]` is the smallest largest load of running I on a
accelerators and c CPU cores. Tarnawski et al., NeurIPS 2020, arXiv 2006.16423, section 5. Here the program is run for a
threshold: only loads up to it are followed, which leaves few of the ideals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...formulation.compiled import njit
from ...formulation.evaluate_partition import MEMORY_TOLERANCE
from .reduced import Reduced, Rows

DONE, FULL, STOPPED = 0, 1, 2
"""How `_expand` ends: all was followed, there is no room for another ideal, or it was stopped from outside."""


@dataclass(frozen=True, eq=False)
class IdealChain:
    """A chain of ideals: for each group 0 for an accelerator or 1 for a CPU core, and the place of its device."""

    kind: NDArray[np.int64]
    level: NDArray[np.int64]


@njit(cache=True, nogil=True)
def _expand(
    succ_start,
    succ,
    n_preds,
    pin_start,
    pin_net,
    net_size,
    net_cost,
    time,
    size,
    counts,
    threshold,
    capacity,
    absorbed,
    weight,
    key,
    ideal,
    hashed,
    value,
    parent,
    table,
    queue,
    queued,
    stopped,
):
    """Fill the arrays with every ideal that a chain of devices reaches below the threshold.

    Each ideal is a row of bits in `ideal`, found again through `hashed` and the open-addressing `table`; `value` and
    `parent` have a column for each state ``a · (m + 1) + c``. Ideal 0 is the empty one. Extensions of an ideal are
    listed depth first, each once: a candidate that is passed over is never added deeper down.

    Returns
    -------
    outcome : int
    n_ideals : int
    """
    g = len(n_preds)
    k, m = counts[0], counts[1]
    words = ideal.shape[1]
    one = np.uint64(1)
    last_slot = len(table) - 1
    n_ideals = 1
    total = weight.sum()
    inside = np.zeros(len(net_cost), dtype=np.int64)
    missing = np.empty(g, dtype=np.int64)
    cand = np.empty(g, dtype=np.int64)
    frame_next = np.empty(g + 2, dtype=np.int64)
    frame_end = np.empty(g + 2, dtype=np.int64)
    chosen = np.empty(g + 2, dtype=np.int64)
    at_time = np.empty(g + 2)
    at_size = np.empty(g + 2)
    at_moved = np.empty(g + 2)
    at_weight = np.empty(g + 2)
    bits = np.empty(words, dtype=np.uint64)

    # Ideals are reached with a + c devices only from those reached with one device less.
    steps = 0
    begin, end_layer, end_queue = 0, 1, 1
    queue[0] = 0
    for used in range(k + m):
        queued[:] = False
        for position in range(begin, end_layer):
            base = queue[position]
            if stopped[0]:
                return STOPPED, n_ideals
            done_weight = 0.0
            for i in range(g):
                missing[i] = n_preds[i]
            n_first = 0
            for i in range(g):
                if (ideal[base, i >> 6] >> np.uint64(i & 63)) & one != 0:
                    done_weight += weight[i]
                    missing[i] = -1
                    for s in range(succ_start[i], succ_start[i + 1]):
                        missing[succ[s]] -= 1
            for i in range(g):
                if missing[i] == 0:
                    cand[n_first] = i
                    n_first += 1
            for which in range(2):
                open_states = False
                for a in range(max(0, used - m), min(k, used) + 1):
                    c = used - a
                    if value[base, a * (m + 1) + c] <= threshold and (a < k if which == 0 else c < m):
                        open_states = True
                if not open_states:
                    continue
                for w in range(words):
                    bits[w] = ideal[base, w]
                code = hashed[base]
                depth = 0
                frame_next[0] = 0
                frame_end[0] = n_first
                at_time[0] = 0.0
                at_size[0] = 0.0
                at_moved[0] = 0.0
                at_weight[0] = done_weight
                while True:
                    steps += 1
                    if steps & 4095 == 0 and stopped[0]:
                        return STOPPED, n_ideals
                    if frame_next[depth] == frame_end[depth]:
                        if depth == 0:
                            break
                        v = chosen[depth]
                        for p in range(pin_start[v], pin_start[v + 1]):
                            inside[pin_net[p]] -= 1
                        for s in range(succ_start[v], succ_start[v + 1]):
                            missing[succ[s]] += 1
                        bits[v >> 6] ^= one << np.uint64(v & 63)
                        code ^= key[v]
                        depth -= 1
                        continue
                    i = frame_next[depth]
                    frame_next[depth] += 1
                    v = cand[i]
                    new_time = at_time[depth] + time[which, v]
                    new_size = at_size[depth] + size[v]
                    if new_time > threshold or (which == 0 and new_size > capacity):
                        continue
                    moved = at_moved[depth]
                    for p in range(pin_start[v], pin_start[v + 1]):
                        e = pin_net[p]
                        inside[e] += 1
                        if inside[e] == 1:
                            moved += net_cost[e]
                        elif inside[e] == net_size[e]:
                            moved -= net_cost[e]
                    end = frame_end[depth]
                    for s in range(succ_start[v], succ_start[v + 1]):
                        missing[succ[s]] -= 1
                        if missing[succ[s]] == 0:
                            cand[end] = succ[s]
                            end += 1
                    bits[v >> 6] |= one << np.uint64(v & 63)
                    code ^= key[v]
                    depth += 1
                    chosen[depth] = v
                    frame_next[depth] = i + 1
                    frame_end[depth] = end
                    at_time[depth] = new_time
                    at_size[depth] = new_size
                    at_moved[depth] = moved
                    at_weight[depth] = at_weight[depth - 1] + weight[v]
                    load = new_time + (moved if which == 0 else 0.0)
                    if load > threshold:
                        continue
                    left = total - at_weight[depth]
                    target = -1
                    for a in range(max(0, used - m), min(k, used) + 1):
                        c = used - a
                        old = value[base, a * (m + 1) + c]
                        a2 = a + 1 if which == 0 else a
                        c2 = c if which == 0 else c + 1
                        if old > threshold or a2 > k or c2 > m or left > absorbed[a2, c2]:
                            continue
                        if target < 0:
                            slot = np.int64(code & np.uint64(last_slot))
                            while table[slot] >= 0:
                                t = table[slot]
                                if hashed[t] == code:
                                    same = True
                                    for w in range(words):
                                        if ideal[t, w] != bits[w]:
                                            same = False
                                    if same:
                                        target = t
                                        break
                                slot = (slot + 1) & last_slot
                            if target < 0:
                                if n_ideals == len(ideal):
                                    return FULL, n_ideals
                                target = n_ideals
                                table[slot] = target
                                hashed[target] = code
                                for w in range(words):
                                    ideal[target, w] = bits[w]
                                n_ideals += 1
                        state = a2 * (m + 1) + c2
                        new = max(old, load)
                        if new < value[target, state]:
                            value[target, state] = new
                            parent[target, state] = 2 * base + which
                            if not queued[target]:
                                queued[target] = True
                                queue[end_queue] = target
                                end_queue += 1
        begin, end_layer = end_layer, end_queue
    return DONE, n_ideals


def search_ideals(reduced: Reduced, threshold: float, max_ideals: int, stopped: NDArray[np.bool_]) -> IdealChain | bool:
    """Find the best chain of ideals whose loads are at most a threshold.

    Parameters
    ----------
    reduced : Reduced
        With acyclic edges.
    threshold : float
    max_ideals : int
        Give up where more are needed.
    stopped : ndarray of bool, shape (1,)
        Set from another thread to give up.

    Returns
    -------
    IdealChain or bool
        False: there is none, proven. True: there may be one, but room or time ran out.

    Notes
    -----
    With N ideals reached and M extensions each there are O(N · M · k · m) steps. Both are exponential in the width of
    the graph at worst; the threshold on the load of a device and on what the devices left can do keeps them small.
    """
    problem = reduced.problem
    g, k, m = reduced.n_groups, problem.n_accelerators, problem.n_cpus
    followers = Rows.of(reduced.edges[:, 0], reduced.edges[:, 1], g)
    n_preds = np.bincount(reduced.edges[:, 1], minlength=g).astype(np.int64)
    weight, absorbed = _work_left(reduced, threshold)
    time = np.stack([reduced.accelerator, reduced.cpu])
    rng = np.random.default_rng(0)
    key = rng.integers(0, 2**63, g).astype(np.uint64)
    states = (k + 1) * (m + 1)
    room = min(4096, max_ideals)
    while True:
        ideal = np.zeros((room, (g + 63) // 64), dtype=np.uint64)
        hashed = np.zeros(room, dtype=np.uint64)
        value = np.full((room, states), np.inf)
        value[0, 0] = 0.0
        parent = np.full((room, states), -1, dtype=np.int32)
        table = np.full(1 << (2 * room - 1).bit_length(), -1, dtype=np.int64)
        table[0] = 0
        queue = np.empty(room * (k + m + 1), dtype=np.int64)
        queued = np.zeros(room, dtype=np.bool_)
        outcome, n_ideals = _expand(
            followers.start,
            followers.value,
            n_preds,
            reduced.nets.start,
            reduced.nets.value,
            np.diff(reduced.pins.start),
            reduced.net_cost,
            time,
            reduced.size,
            np.array([k, m], dtype=np.int64),
            threshold,
            problem.accelerator_bytes * (1 + MEMORY_TOLERANCE),
            absorbed,
            weight,
            key,
            ideal,
            hashed,
            value,
            parent,
            table,
            queue,
            queued,
            stopped,
        )
        if outcome == DONE:
            break
        if outcome == STOPPED or room == max_ideals:
            return True
        room = min(4 * room, max_ideals)
    members = np.unpackbits(ideal[:n_ideals].view(np.uint8), axis=1, bitorder="little")[:, :g].astype(np.bool_)
    whole = np.flatnonzero(members.all(axis=1))
    if not len(whole) or not np.isfinite(value[whole[0]]).any():
        return False
    return _traced(members, value, parent, int(whole[0]), m)


def _work_left(reduced: Reduced, threshold: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights of the groups, and the most weight that remaining devices can take, shape (k + 1, m + 1).

    A weight is a group's time on an accelerator, of which a CPU core can take no more than `threshold` times the
    largest ratio of that time to its own; groups that only one kind of device can run fast weigh nothing.
    """
    problem = reduced.problem
    k, m = problem.n_accelerators, problem.n_cpus
    weight = np.where(np.isfinite(reduced.accelerator) & (reduced.cpu > 0), reduced.accelerator, 0.0)
    ratio = np.divide(weight, reduced.cpu, out=np.zeros_like(weight), where=reduced.cpu > 0).max(initial=0.0)
    a, c = np.arange(k + 1)[:, None], np.arange(m + 1)[None, :]
    return weight, threshold * ((k - a) + (m - c) * ratio) * (1 + 1e-9)


def _traced(
    members: NDArray[np.bool_], value: NDArray[np.float64], parent: NDArray[np.int32], whole: int, m: int
) -> IdealChain:
    """Follow the parents back. Their column is coded in the low bit: 0 for an accelerator, 1 for a CPU core."""
    at, state = whole, int(np.argmin(value[whole]))
    kind = np.zeros(members.shape[1], dtype=np.int64)
    level = np.zeros(members.shape[1], dtype=np.int64)
    while at:
        coded = int(parent[at, state])
        before, last = coded >> 1, coded & 1
        added = members[at] & ~members[before]
        kind[added] = last
        level[added] = state // (m + 1) + state % (m + 1) - 1
        at, state = before, state - (m + 1 if last == 0 else 1)
    return IdealChain(kind, level)
