"""Simulated annealing of the latency of one sample: compiled moves of groups between blocks and the CPU."""

from __future__ import annotations

import math

import numpy as np

from ...formulation.compiled import njit


@njit(cache=True, nogil=True)
def _finish(
    place, group, cpu, accelerator, transfer, succ_start, succ, n_blocks, q, duration, waiting, finish, queue, mark
):
    """When the sample ends; infinite where something waits for itself.

    Steps 0 … n_blocks - 1 are blocks, step n_blocks + i is node i on the CPU. A block also waits for the one before it
    on its accelerator.
    """
    n = len(cpu)
    steps = n_blocks + n
    for s in range(steps):
        duration[s] = 0.0
        waiting[s] = 0
        finish[s] = 0.0
    for b in range(n_blocks):
        mark[b] = -1
        if b % q > 0:
            waiting[b] += 1
    for u in range(n):
        b = place[group[u]]
        own = b if b < n_blocks else n_blocks + u
        duration[own] += accelerator[u] if b < n_blocks else cpu[u]
        leaves = False
        for e in range(succ_start[u], succ_start[u + 1]):
            c = place[group[succ[e]]]
            other = c if c < n_blocks else n_blocks + succ[e]
            if other == own:
                continue
            waiting[other] += 1
            leaves = True
            if c < n_blocks and mark[c] != u:
                mark[c] = u
                duration[c] += transfer[u]
        if leaves and b < n_blocks:
            duration[b] += transfer[u]
    head, tail = 0, 0
    for s in range(steps):
        if waiting[s] == 0 and (s < n_blocks or place[group[s - n_blocks]] == n_blocks):
            queue[tail] = s
            tail += 1
    last = 0.0
    nodes = 0
    while head < tail:
        s = queue[head]
        head += 1
        done = finish[s] + duration[s]
        last = max(last, done)
        if s < n_blocks and s % q < q - 1:
            finish[s + 1] = max(finish[s + 1], done)
            waiting[s + 1] -= 1
            if waiting[s + 1] == 0:
                queue[tail] = s + 1
                tail += 1
        first, stop = (0, n) if s < n_blocks else (s - n_blocks, s - n_blocks + 1)
        for u in range(first, stop):
            if s < n_blocks and place[group[u]] != s:
                continue
            nodes += 1
            for e in range(succ_start[u], succ_start[u + 1]):
                c = place[group[succ[e]]]
                other = c if c < n_blocks else n_blocks + succ[e]
                if other == s:
                    continue
                finish[other] = max(finish[other], done)
                waiting[other] -= 1
                if waiting[other] == 0:
                    queue[tail] = other
                    tail += 1
    return last if nodes == n else np.inf


@njit(cache=True, nogil=True)
def anneal_latency(
    place,
    best_place,
    group,
    cpu,
    accelerator,
    transfer,
    succ_start,
    succ,
    size,
    near_start,
    near,
    capacity,
    n_blocks,
    q,
    n_moves,
    hot,
    cold,
    noise,
    stopped,
):
    """Anneal where each group runs: 0 … n_blocks - 1 a block, n_blocks the CPU; returns the best latency.

    Half of the moves take a group to the place of a neighbour in the graph, some exchange the places of two, some
    take along further neighbours in the same place. `noise` is a state of a random generator, an array of one.
    """
    n, g = len(cpu), len(size)
    steps = n_blocks + n
    duration, finish = np.empty(steps), np.empty(steps)
    waiting, queue = np.empty(steps, dtype=np.int64), np.empty(steps, dtype=np.int64)
    mark = np.empty(n_blocks + 1, dtype=np.int64)
    able = np.zeros(g)
    for i in range(n):
        able[group[i]] += accelerator[i]
    held = np.zeros(n_blocks // q + 1)
    for i in range(g):
        held[place[i] // q] += size[i]
    moved = np.empty(8, dtype=np.int64)
    came = np.empty(8, dtype=np.int64)
    now = _finish(
        place, group, cpu, accelerator, transfer, succ_start, succ, n_blocks, q, duration, waiting, finish, queue, mark
    )
    best = now
    best_place[:] = place
    heat = hot
    cooling = (cold / hot) ** (1.0 / max(1, n_moves))
    state = noise[0]
    for step in range(n_moves):
        if step & 255 == 0 and stopped[0]:
            break
        heat *= cooling
        state ^= state >> np.uint64(12)
        state ^= state << np.uint64(25)
        state ^= state >> np.uint64(27)
        draw = np.int64((state * np.uint64(2685821657736338717)) >> np.uint64(1))
        i = draw % g
        draw //= g
        style = draw % 8
        draw //= 8
        if style < 6 and near_start[i + 1] > near_start[i]:
            target = place[near[near_start[i] + draw % (near_start[i + 1] - near_start[i])]]
        else:
            target = draw % (n_blocks + 1)
        draw //= 64
        source = place[i]
        if target == source:
            continue
        moved[0] = i
        count = 1
        if style < 3:
            wanted = 1 + draw % 7
            at = i
            while count < wanted and near_start[at + 1] > near_start[at]:
                state ^= state >> np.uint64(12)
                state ^= state << np.uint64(25)
                state ^= state >> np.uint64(27)
                draw = np.int64((state * np.uint64(2685821657736338717)) >> np.uint64(1))
                at = near[near_start[at] + draw % (near_start[at + 1] - near_start[at])]
                fresh = place[at] == source
                for x in range(count):
                    fresh = fresh and moved[x] != at
                if not fresh:
                    break
                moved[count] = at
                count += 1
        fits = True
        for x in range(count):
            v = moved[x]
            came[x] = place[v]
            held[place[v] // q] -= size[v]
            held[target // q] += size[v]
            place[v] = target
            if target < n_blocks and not able[v] < np.inf:
                fits = False
        if target < n_blocks and held[target // q] > capacity:
            fits = False
        accepted = False
        if fits:
            new = _finish(
                place,
                group,
                cpu,
                accelerator,
                transfer,
                succ_start,
                succ,
                n_blocks,
                q,
                duration,
                waiting,
                finish,
                queue,
                mark,
            )
            if new <= now:
                accepted = True
            elif new < np.inf:
                state ^= state >> np.uint64(12)
                state ^= state << np.uint64(25)
                state ^= state >> np.uint64(27)
                chance = np.float64((state * np.uint64(2685821657736338717)) >> np.uint64(11)) / 9007199254740992.0
                accepted = chance < math.exp((now - new) / heat)
            if accepted:
                now = new
                if now < best:
                    best = now
                    best_place[:] = place
        if not accepted:
            for x in range(count):
                v = moved[x]
                held[place[v] // q] -= size[v]
                held[came[x] // q] += size[v]
                place[v] = came[x]
    noise[0] = state
    return best
