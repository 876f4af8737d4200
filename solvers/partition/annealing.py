"""Simulated annealing of a max-load partition: compiled moves on groups, each priced in the time of its nets."""

from __future__ import annotations

import math

import numpy as np

from ...formulation.compiled import njit


@njit(cache=True, nogil=True)
def _power(x, doublings):
    for _ in range(doublings):
        x *= x
    return x


@njit(cache=True, nogil=True)
def _root(x, doublings):
    for _ in range(doublings):
        x = math.sqrt(x)
    return x


@njit(cache=True, nogil=True)
def anneal(
    pin_start,
    pin_net,
    net_start,
    net_pin,
    net_cost,
    accelerator,
    cpu,
    size,
    counts,
    capacity,
    device,
    best_device,
    n_moves,
    hot,
    cold,
    doublings,
    seed,
    stopped,
):
    """Anneal `device` in place from temperature `hot` to `cold`; keep the best found in `best_device`.

    The energy is a high power mean of the loads, which counts more than the busiest device and still mostly that one.
    Moving group g between devices changes the load of these two only: for each net of g, the
    one left still pays if it keeps other groups of the net, the one entered pays unless it now holds all of them.

    Parameters
    ----------
    pin_start, pin_net, net_start, net_pin, net_cost : ndarray
        Nets of each group, groups of each net, and their costs.
    accelerator, cpu, size : ndarray, shape (g,)
    counts : ndarray of int, shape (2,)
        Accelerators k and CPU cores m; devices are numbered in that order.
    capacity : float
    device, best_device : ndarray of int, shape (g,)
    n_moves : int
    hot, cold : float
        Temperatures in units of time.
    doublings : int
        The power is 2 to this.
    seed : int
    stopped : ndarray of bool, shape (1,)

    Returns
    -------
    best : float
        Largest load of `best_device`; infinite where no partition within memory was found.
    """
    g = len(accelerator)
    k, m = counts[0], counts[1]
    d = k + m
    n_nets = len(net_cost)
    state = np.uint64(seed) * np.uint64(2685821657736338717) + np.uint64(88172645463325252)
    inside = np.zeros((n_nets, d), dtype=np.int32)
    load = np.zeros(d)
    held = np.zeros(d)
    for i in range(g):
        load[device[i]] += accelerator[i] if device[i] < k else cpu[i]
        held[device[i]] += size[i]
        for p in range(pin_start[i], pin_start[i + 1]):
            inside[pin_net[p], device[i]] += 1
    for e in range(n_nets):
        pins = net_start[e + 1] - net_start[e]
        for x in range(k):
            if 0 < inside[e, x] < pins:
                load[x] += net_cost[e]
    over = 0.0
    for x in range(k):
        over += max(0.0, held[x] - capacity)
    best = np.inf
    if over == 0.0:
        best = load.max()
        best_device[:] = device
    scale = max(load.max(), 1e-300)
    term = np.empty(d)
    for x in range(d):
        term[x] = _power(load[x] / scale, doublings)
    energy = scale * _root(term.sum() / d, doublings)
    cooling = (cold / hot) ** (1.0 / max(1, n_moves))
    heat = hot
    moved = np.empty(8, dtype=np.int64)
    came = np.empty(8, dtype=np.int64)
    saved = np.empty(d)
    saved_term = np.empty(d)
    for step in range(n_moves):
        if step & 4095 == 0 and stopped[0]:
            break
        heat *= cooling
        # xorshift64*: the generator of numpy inside compiled code has one global state.
        state ^= state >> np.uint64(12)
        state ^= state << np.uint64(25)
        state ^= state >> np.uint64(27)
        draw = np.int64((state * np.uint64(2685821657736338717)) >> np.uint64(1))
        i = draw % g
        draw //= g
        style = draw % 16
        draw //= 16
        a = device[i]
        target = -1
        n_moved = 0
        if style < 11 and pin_start[i + 1] > pin_start[i]:
            # To the device of a group that shares a net.
            e = pin_net[pin_start[i] + draw % (pin_start[i + 1] - pin_start[i])]
            draw //= 64
            j = net_pin[net_start[e] + draw % (net_start[e + 1] - net_start[e])]
            draw //= 64
            if style < 9:
                target = device[j]
                moved[0] = i
                n_moved = 1
                if style < 5 and target != a:
                    # Take further groups along that share a net and the device.
                    length = 1 + draw % 7
                    draw //= 8
                    at = i
                    while n_moved < length:
                        if pin_start[at + 1] == pin_start[at]:
                            break
                        state ^= state >> np.uint64(12)
                        state ^= state << np.uint64(25)
                        state ^= state >> np.uint64(27)
                        draw = np.int64((state * np.uint64(2685821657736338717)) >> np.uint64(1))
                        e = pin_net[pin_start[at] + draw % (pin_start[at + 1] - pin_start[at])]
                        draw //= 64
                        nxt = net_pin[net_start[e] + draw % (net_start[e + 1] - net_start[e])]
                        new = device[nxt] == a
                        for q in range(n_moved):
                            if moved[q] == nxt:
                                new = False
                        if not new:
                            break
                        moved[n_moved] = nxt
                        n_moved += 1
                        at = nxt
            else:
                # Exchange with it.
                target = device[j]
                moved[0] = i
                moved[1] = j
                n_moved = 2
        else:
            j = draw % g
            draw //= g
            if style < 14:
                target = draw % d
                moved[0] = i
                n_moved = 1
            else:
                target = device[j]
                moved[0] = i
                moved[1] = j
                n_moved = 2
        if target == a or target < 0:
            continue
        swap = n_moved == 2 and device[moved[1]] == target
        for x in range(d):
            saved[x] = load[x]
            saved_term[x] = term[x]
        able = True
        done = 0
        for q in range(n_moved):
            v = moved[q]
            old = device[v]
            new_d = a if (swap and q == 1) else target
            if new_d < k and not accelerator[v] < np.inf:
                able = False
                break
            came[q] = old
            for p in range(pin_start[v], pin_start[v + 1]):
                e = pin_net[p]
                pins = net_start[e + 1] - net_start[e]
                if old < k:
                    before = inside[e, old] < pins
                    after = inside[e, old] > 1
                    if before and not after:
                        load[old] -= net_cost[e]
                    elif after and not before:
                        load[old] += net_cost[e]
                if new_d < k:
                    before = inside[e, new_d] > 0
                    after = inside[e, new_d] + 1 < pins
                    if before and not after:
                        load[new_d] -= net_cost[e]
                    elif after and not before:
                        load[new_d] += net_cost[e]
                inside[e, old] -= 1
                inside[e, new_d] += 1
            load[old] -= accelerator[v] if old < k else cpu[v]
            load[new_d] += accelerator[v] if new_d < k else cpu[v]
            held[old] -= size[v]
            held[new_d] += size[v]
            device[v] = new_d
            done += 1
        accepted = False
        if able:
            new_over = 0.0
            for x in range(k):
                new_over += max(0.0, held[x] - capacity)
            highest = load.max()
            term[a] = _power(load[a] / scale, doublings)
            term[target] = _power(load[target] / scale, doublings)
            new_energy = scale * _root(term.sum() / d, doublings)
            if new_over < over:
                accepted = True
            elif new_over == over:
                change = new_energy - energy
                if change <= 0.0:
                    accepted = True
                else:
                    state ^= state >> np.uint64(12)
                    state ^= state << np.uint64(25)
                    state ^= state >> np.uint64(27)
                    chance = np.float64((state * np.uint64(2685821657736338717)) >> np.uint64(11)) / 9007199254740992.0
                    accepted = chance < math.exp(-change / heat)
            if accepted:
                over = new_over
                energy = new_energy
                if over == 0.0 and highest < best * (1 - 1e-12):
                    best = highest
                    best_device[:] = device
        if not accepted:
            for q in range(done - 1, -1, -1):
                v = moved[q]
                new_d, old = device[v], came[q]
                for p in range(pin_start[v], pin_start[v + 1]):
                    inside[pin_net[p], new_d] -= 1
                    inside[pin_net[p], old] += 1
                held[new_d] -= size[v]
                held[old] += size[v]
                device[v] = old
            for x in range(d):
                load[x] = saved[x]
                term[x] = saved_term[x]
    return best
