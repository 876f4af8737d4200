"""The compiled event loops: the accelerator's queue, then the queues of the core pools.

The system is feed-forward and no service is interrupted, so the next event of a stage follows from the last one by a
recursion; no calendar of future events is needed, and one stage can be played to its end before the next.
"""

from __future__ import annotations

import numpy as np

from ...compiled import njit
from .residency import new_memory, touch


@njit(cache=True, nogil=True)
def _drawn(rng, mean, scv):
    if scv <= 0.0 or mean <= 0.0:
        return mean
    return rng.gamma(1.0 / scv, mean * scv)


@njit(cache=True, nogil=True)
def first_come_first_served(
    time, tenant, on, service, reload, scv, policy, residency_set, resident_bytes, capacity, rng, start, ready, end
):
    """Play the accelerator in order of arrival, without batching.

    Parameters
    ----------
    time, tenant : ndarray, shape (requests,)
        Arrivals, ascending.
    on, service, reload, scv, residency_set, resident_bytes : ndarray, shape (tenants,)
    rng : numpy.random.Generator
    start, ready, end : ndarray, shape (requests,)
        Filled: when the accelerator takes the request, has its weights, and ends it; the arrival where it has no part
        there.
    """
    memory = new_memory(len(on))
    free = -np.inf
    for r in range(len(time)):
        i = tenant[r]
        if not on[i]:
            start[r] = ready[r] = end[r] = time[r]
            continue
        start[r] = max(time[r], free)
        missed = touch(memory, policy, i, residency_set, resident_bytes, capacity)
        ready[r] = start[r] + reload[i] if missed else start[r]
        free = end[r] = ready[r] + _drawn(rng, service[i], scv[i])


@njit(cache=True, nogil=True)
def by_priority_and_batch(
    time,
    tenant,
    on,
    service,
    reload,
    scv,
    policy,
    residency_set,
    resident_bytes,
    capacity,
    rng,
    priority,
    max_batch,
    window,
    marginal,
    start,
    ready,
    end,
):
    """Play the accelerator with priorities and batching windows; parameters as `first_come_first_served`.

    A tenant's oldest request is eligible once `max_batch` of the tenant wait or it has waited for `window`. When the
    accelerator is free it takes, among tenants with an eligible request, the one of the most urgent priority (the
    lowest number), then of the earliest eligibility, then arrival; all requests of the tenant that wait by then join,
    at most `max_batch`. A batch of b takes service × (1 + marginal (b − 1)).
    """
    n = len(on)
    memory = new_memory(n)
    # Requests of each tenant one after another: queue[first[i] : first[i + 1]].
    first = np.zeros(n + 1, dtype=np.int64)
    for r in range(len(time)):
        first[tenant[r] + 1] += 1
    for i in range(n):
        first[i + 1] += first[i]
    queue = np.empty(len(time), dtype=np.int64)
    filled = first[:-1].copy()
    left = 0
    for r in range(len(time)):
        i = tenant[r]
        queue[filled[i]] = r
        filled[i] += 1
        if on[i]:
            left += 1
        else:
            start[r] = ready[r] = end[r] = time[r]
    head = first[:-1].copy()
    free = -np.inf
    while left > 0:
        chosen, eligible, soonest = -1, np.inf, np.inf
        for i in range(n):
            if not on[i] or head[i] == first[i + 1]:
                continue
            oldest = time[queue[head[i]]]
            at = oldest + window[i]
            last = head[i] + max_batch[i] - 1
            if last < first[i + 1]:
                at = min(at, time[queue[last]])
            soonest = min(soonest, at)
            if at > free:
                continue
            if chosen >= 0:
                if priority[i] > priority[chosen]:
                    continue
                if priority[i] == priority[chosen]:
                    if at > eligible:
                        continue
                    if at == eligible and queue[head[i]] > queue[head[chosen]]:
                        continue
            chosen, eligible = i, at
        if chosen < 0:
            free = soonest
            continue
        i = chosen
        began = free
        size = 0
        while size < max_batch[i] and head[i] + size < first[i + 1] and time[queue[head[i] + size]] <= began:
            size += 1
        missed = touch(memory, policy, i, residency_set, resident_bytes, capacity)
        loaded = began + reload[i] if missed else began
        free = loaded + _drawn(rng, service[i] * (1.0 + marginal[i] * (size - 1)), scv[i])
        for position in range(head[i], head[i] + size):
            r = queue[position]
            start[r], ready[r], end[r] = began, loaded, free
        head[i] += size
        left -= size


@njit(cache=True, nogil=True)
def core_pool(requests, arrival, tenant, service, scv, servers, rng, start, end):
    """Play one pool of identical servers, first come first served.

    Parameters
    ----------
    requests : ndarray of int
        Indices of its requests in order of arrival at the pool.
    arrival, start, end : ndarray, shape (all requests,)
        Start and end are filled for these requests.
    service, scv : ndarray, shape (tenants,)
    """
    free = np.full(servers, -np.inf)
    for r in requests:
        next_free = 0
        for s in range(1, servers):
            if free[s] < free[next_free]:
                next_free = s
        i = tenant[r]
        start[r] = max(arrival[r], free[next_free])
        end[r] = start[r] + _drawn(rng, service[i], scv[i])
        free[next_free] = end[r]
