"""Compiled parts of the search: what the accelerator and the CPU make of a choice of partition points.

Rates are requests a microsecond here, and totals are mean requests in the system (Little's law: rate × response), so
that the objective is the total over the sum of all rates. Arrays follow `Tables`.
"""

from __future__ import annotations

import numpy as np

from ...formulation.compiled import njit
from ...formulation.queueing.multi_server import gigc_wait_kernel
from ...formulation.queueing.swapping import approximate_wait_kernel, mean_wait_kernel
from .tables import CO_COMPILED, LRU, TOKEN

STRAIGHT = (1.0, 0.0)
"""`behind_accelerator` of requests that come to the CPU as they arrive."""


@njit(cache=True, nogil=True)
def laplace(mean, scv, at):
    """E[exp(−at X)] of a deterministic or gamma distributed X ≥ 0."""
    if scv <= 0.0:
        return np.exp(-at * mean)
    return (1.0 + at * mean * scv) ** (-1.0 / scv)


@njit(cache=True, nogil=True)
def fill_cpu_waits(waits, rate, cpu_us, speedup, scv):
    """Mean waits of one tenant's suffixes for Poisson arrivals, shape (K, cores + 1, T); ∞ where not possible."""
    longest, cores, widest = waits.shape[0], waits.shape[1] - 1, waits.shape[2]
    waits[:] = np.inf
    for k in range(longest):
        if not 0.0 < cpu_us[k] < np.inf:
            continue
        for c in range(1, cores + 1):
            for t in range(min(widest, c)):
                if speedup[t] > 0.0 and c % (t + 1) == 0:
                    waits[k, c, t] = gigc_wait_kernel(rate, 1.0, cpu_us[k] / speedup[t], scv, c // (t + 1))


@njit(cache=True, nogil=True)
def cpu_response_row(cpu_us, waits, speedup, behind, row, threads):
    """Mean response of a suffix for every number of cores, with the best threads.

    `behind` is what `behind_accelerator` says, (1, 0) for requests that come straight to the CPU.
    """
    factor, less = behind
    row[:] = np.inf
    threads[:] = 1
    if cpu_us == 0.0:
        row[0] = 0.0
        return
    for t in range(min(len(speedup), len(row) - 1)):
        if speedup[t] <= 0.0:
            continue
        alone = cpu_us / speedup[t]
        for c in range(t + 1, len(row), t + 1):
            response = alone + max(0.0, factor * waits[c, t] - less)
            if response < row[c]:
                row[c] = response
                threads[c] = t + 1


@njit(cache=True, nogil=True)
def behind_accelerator(rate, share, utilisation, second_moment, service_us, service_scv, cpu_scv):
    """What becomes of a CPU wait for Poisson arrivals behind the accelerator: multiplied by one figure, less another.

    As the evaluator has it (`tandem_wait_us`): departures have c_d² = ρ² c_s² + 1 − ρ², a tenant's share p of them
    p c_d² + 1 − p. `second_moment` is Λ² E[S²], so that ρ² c_s² is that less ρ².
    """
    arrival_scv = max(0.0, 1.0 + share * (second_moment - 2.0 * utilisation * utilisation))
    regular = max(0.0, 1.0 - service_scv)
    if regular == 0.0:
        return (arrival_scv + cpu_scv) / (1.0 + cpu_scv), 0.0
    busy = rate * service_us
    if busy >= 1.0:
        return 0.0, 0.0
    excess = max(0.0, arrival_scv - 1.0 + regular * busy * busy)
    return (1.0 + excess + cpu_scv) / (1.0 + cpu_scv), regular * busy * service_us / (2.0 * (1.0 - busy))


@njit(cache=True, nogil=True)
def assign_cores(rows, cores_out):
    """Cores for the least sum of rows, shape (n, cores + 1), at most all of them; ∞ where there is no way.

    ``least[i, c]`` is the least sum of tenants i, i + 1, … with at most c cores.
    """
    n, width = rows.shape
    least = np.full((n + 1, width), np.inf)
    least[n, :] = 0.0
    taken = np.zeros((n, width), dtype=np.int64)
    for i in range(n - 1, -1, -1):
        for c in range(width):
            for own in range(c + 1):
                value = rows[i, own] + least[i + 1, c - own]
                if value < least[i, c]:
                    least[i, c] = value
                    taken[i, c] = own
    left = width - 1
    for i in range(n):
        cores_out[i] = taken[i, left]
        left -= taken[i, left]
    return least[0, width - 1]


@njit(cache=True, nogil=True)
def shared_service_us(tables, i, k, room):
    """Service of a co-compiled tenant that is given at most `room` bytes."""
    missing = tables.usable_bytes[i, k] - room
    if missing <= 0.0:
        return tables.service_us[i, k]
    return tables.service_us[i, k] + tables.streaming_first_us[i, k] + tables.streaming_us_per_byte[i] * missing


@njit(cache=True, nogil=True)
def lru_miss_probability(rate, point, tables, out):
    """Miss probabilities of whole segments by Che's approximation (doi 10.1109/JSAC.2002.801752)."""
    n = len(point)
    capacity = tables.capacity_bytes
    whole, rate_on = 0.0, 0.0
    for i in range(n):
        out[i] = 0.0
        if point[i] > 0:
            whole += tables.usable_bytes[i, point[i]]
            rate_on += rate[i]
    if whole <= capacity:
        return
    low, high = 0.0, 1.0 / rate_on
    for _ in range(200):
        filled = 0.0
        for i in range(n):
            if point[i] > 0:
                filled -= tables.usable_bytes[i, point[i]] * np.expm1(-rate[i] * high)
        if filled >= capacity:
            break
        high *= 2.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        filled = 0.0
        for i in range(n):
            if point[i] > 0:
                filled -= tables.usable_bytes[i, point[i]] * np.expm1(-rate[i] * middle)
        if filled < capacity:
            low = middle
        else:
            high = middle
    for i in range(n):
        if point[i] > 0:
            out[i] = np.exp(-rate[i] * high)


@njit(cache=True, nogil=True)
def accelerator_stage(rate, point, order, tables, exact, visit_out, service_out):
    """The accelerator under the residency policy; under LRU an approximation that the evaluator refines.

    Parameters
    ----------
    order : ndarray of int, shape (n,)
        In which co-compiled tenants are given the memory.
    exact : bool
        Token residency: the exact mean wait instead of its closed form.
    visit_out, service_out : ndarray, shape (n,)
        Filled with each tenant's mean time there, its share of reloads included, and without it; 0 without a part.

    Returns
    -------
    wait_us, utilisation, second_moment, rate_on : float
        The wait is ∞ where unstable, `second_moment` is Λ² E[S²], `rate_on` is Λ.
    """
    n = len(point)
    members, rate_on, room = 0, 0.0, tables.capacity_bytes
    for i in range(n):
        if point[i] > 0:
            members += 1
            rate_on += rate[i]
    visit_out[:] = 0.0
    service_out[:] = 0.0
    if members == 0:
        return 0.0, 0.0, 0.0, 0.0
    rates, service, reload, scv = np.empty(members), np.empty(members), np.empty(members), np.empty(members)
    swap = np.empty(n)
    if tables.kind == LRU:
        lru_miss_probability(rate, point, tables, swap)
    utilisation, second = 0.0, 0.0
    j = 0
    for position in range(n):
        i = order[position]
        k = point[i]
        if k == 0:
            continue
        m, tau, c = tables.service_us[i, k], tables.reload_us[i, k], tables.accelerator_scv[i]
        if tables.kind == TOKEN:
            swap[i] = 1.0 - rate[i] / rate_on
        elif tables.kind == CO_COMPILED:
            m, tau, swap[i] = shared_service_us(tables, i, k, room), 0.0, 0.0
            room = max(0.0, room - tables.usable_bytes[i, k])
        visit_out[i], service_out[i] = m + swap[i] * tau, m
        utilisation += rate[i] * visit_out[i]
        second += rate[i] * (m * m * (1.0 + c) + swap[i] * tau * (2.0 * m + tau))
        rates[j], service[j], reload[j], scv[j] = rate[i], m, tau, c
        j += 1
    second *= rate_on
    if not utilisation < 1.0:
        return np.inf, utilisation, second, rate_on
    if tables.kind != TOKEN:
        return second / (2.0 * rate_on * (1.0 - utilisation)), utilisation, second, rate_on
    none = np.zeros(members)
    if exact:
        return mean_wait_kernel(rates, service, reload, scv, none), utilisation, second, rate_on
    return approximate_wait_kernel(rates, service, reload, scv, none), utilisation, second, rate_on


@njit(cache=True, nogil=True)
def response_total(rate, point, order, tables, waits, exact, cores_out, threads_out):
    """Mean number of requests in the system for these partition points, with the best cores; fills cores and threads.

    `waits` are those of `fill_cpu_waits` for every tenant, shape (n, K, cores + 1, T).
    """
    n, width = len(point), waits.shape[2]
    visit, service = np.empty(n), np.empty(n)
    wait, utilisation, second, rate_on = accelerator_stage(rate, point, order, tables, exact, visit, service)
    if not wait < np.inf:
        return np.inf
    rows = np.empty((n, width))
    threads = np.empty((n, width), dtype=np.int64)
    total = 0.0
    for i in range(n):
        k = point[i]
        behind = STRAIGHT
        if k > 0:
            behind = behind_accelerator(
                rate[i],
                rate[i] / rate_on,
                utilisation,
                second,
                service[i],
                tables.accelerator_scv[i],
                tables.cpu_scv[i],
            )
            total += rate[i] * (wait + visit[i] + tables.handover_us[i, k])
        cpu_response_row(tables.cpu_us[i, k], waits[i, k], tables.speedup[i], behind, rows[i], threads[i])
        for c in range(width):
            rows[i, c] *= rate[i]
    total += assign_cores(rows, cores_out)
    for i in range(n):
        threads_out[i] = threads[i, cores_out[i]]
    return total


@njit(cache=True, nogil=True)
def response_totals(rate, points, orders, tables, waits, exact, totals_out):
    """`response_total` of many candidates: points and orders of shape (candidates, n)."""
    n = points.shape[1]
    cores, threads = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    for candidate in range(len(points)):
        totals_out[candidate] = response_total(
            rate, points[candidate], orders[candidate], tables, waits, exact, cores, threads
        )
