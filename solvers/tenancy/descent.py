"""Coordinate descent over partition points, with the cores assigned anew by dynamic program at every step."""

from __future__ import annotations

import numpy as np

from ...formulation.compiled import njit
from .kernels import STRAIGHT, accelerator_stage, behind_accelerator, cpu_response_row, laplace, response_total
from .tables import TOKEN


@njit(cache=True, nogil=True)
def _rows(rate, point, order, tables, waits):
    """Every tenant's CPU part by cores at its partition point, shape (n, cores + 1), weighted by rate."""
    n, width = len(point), waits.shape[2]
    visit, service = np.empty(n), np.empty(n)
    _, utilisation, second, rate_on = accelerator_stage(rate, point, order, tables, False, visit, service)
    rows = np.empty((n, width))
    threads = np.empty(width, dtype=np.int64)
    for i in range(n):
        k = point[i]
        behind = STRAIGHT
        if k > 0:
            p, c = rate[i] / rate_on, tables.accelerator_scv[i]
            behind = behind_accelerator(rate[i], p, utilisation, second, service[i], c, tables.cpu_scv[i])
        cpu_response_row(tables.cpu_us[i, k], waits[i, k], tables.speedup[i], behind, rows[i], threads)
        for c in range(width):
            rows[i, c] *= rate[i]
    return rows


@njit(cache=True, nogil=True)
def _others(rows, i):
    """Least sum of all rows but the i-th with at most c cores, shape (cores + 1,)."""
    n, width = rows.shape
    least = np.zeros(width)
    merged = np.empty(width)
    for j in range(n):
        if j == i:
            continue
        for c in range(width):
            merged[c] = np.inf
            for own in range(c + 1):
                merged[c] = min(merged[c], rows[j, own] + least[c - own])
        least[:] = merged
    return least


@njit(cache=True, nogil=True)
def _token_sums(rate, point, tables, i, on, sums):
    """Sums over the tenants on the accelerator other than i, where i is there too (`on`) or not; returns Λ.

    Filled are: Σ λ s, Σ p E[S²], Σ p s, Σ p y, Σ p y s, Σ q y, Σ q and Σ λ (s + hand-over), as the closed form of the
    wait needs them (`edgeplan.formulation.queueing.swapping`).
    """
    rate_on = rate[i] if on else 0.0
    for j in range(len(point)):
        if j != i and point[j] > 0:
            rate_on += rate[j]
    sums[:] = 0.0
    for j in range(len(point)):
        if j != i and point[j] > 0:
            _add_token(rate, rate_on, tables, j, point[j], sums)
    return rate_on


@njit(cache=True, nogil=True)
def _add_token(rate, rate_on, tables, j, k, sums):
    p = rate[j] / rate_on
    m, tau, scv = tables.service_us[j, k], tables.reload_us[j, k], tables.accelerator_scv[j]
    s, y = m + (1.0 - p) * tau, p * tau
    q = p * laplace(m, scv, rate_on) * (p + (1.0 - p) * np.exp(-rate_on * tau))
    sums[0] += rate[j] * s
    sums[1] += p * (m * m * (1.0 + scv) + (1.0 - p) * tau * (2.0 * m + tau))
    sums[2] += p * s
    sums[3] += p * y
    sums[4] += p * y * s
    sums[5] += q * y
    sums[6] += q
    sums[7] += rate[j] * (s + tables.handover_us[j, k])


@njit(cache=True, nogil=True)
def _token_wait(rate_on, sums):
    if sums[6] == 0.0:
        return 0.0
    covariance = sums[4] - sums[3] * sums[2]
    heavy = rate_on * (sums[1] - 2.0 * covariance) / (2.0 * (1.0 - sums[0]))
    return max(0.0, heavy + sums[3] - sums[5] / sums[6])


@njit(cache=True, nogil=True)
def _best_point(rate, point, order, tables, waits, i):
    """Tenant i's best other partition point, ranked with the others' CPU parts as they are; its own where none runs."""
    n, longest = tables.cpu_us.shape
    width = waits.shape[2]
    least = _others(_rows(rate, point, order, tables, waits), i)
    row = np.empty(width)
    threads = np.empty(width, dtype=np.int64)
    visit, service = np.empty(n), np.empty(n)
    trial = point.copy()
    token = tables.kind == TOKEN
    rest, sums = np.empty(8), np.empty(8)
    with_rate = _token_sums(rate, point, tables, i, True, rest) if token else 0.0
    best, best_point = np.inf, point[i]
    for k in range(longest):
        if not tables.runs[i, k] or k == point[i]:
            continue
        if token:
            if k == 0:
                rate_on = _token_sums(rate, point, tables, i, False, sums)
            else:
                rate_on = with_rate
                sums[:] = rest
                _add_token(rate, rate_on, tables, i, k, sums)
            utilisation = sums[0]
            if not utilisation < 1.0:
                continue
            value = sums[7] + rate_on * _token_wait(rate_on, sums)
            second = rate_on * rate_on * sums[1]
        else:
            trial[i] = k
            wait, utilisation, second, rate_on = accelerator_stage(rate, trial, order, tables, False, visit, service)
            if not wait < np.inf:
                continue
            value = 0.0
            for j in range(n):
                if trial[j] > 0:
                    value += rate[j] * (wait + visit[j] + tables.handover_us[j, trial[j]])
        if value + least[width - 1] >= best:
            continue
        behind = STRAIGHT
        if k > 0:
            own_us = tables.service_us[i, k] if token else service[i]
            p, c = rate[i] / rate_on, tables.accelerator_scv[i]
            behind = behind_accelerator(rate[i], p, utilisation, second, own_us, c, tables.cpu_scv[i])
        cpu_response_row(tables.cpu_us[i, k], waits[i, k], tables.speedup[i], behind, row, threads)
        own = np.inf
        for c in range(width):
            own = min(own, rate[i] * row[c] + least[width - 1 - c])
        if value + own < best:
            best, best_point = value + own, k
    return best_point


@njit(cache=True, nogil=True)
def descend(rate, point, order, tables, waits):
    """Move one tenant's partition point at a time while that shortens the predicted total; `point` is changed in place.

    The wait of the accelerator is the closed form. A move is accepted only where the full total is smaller, with the
    cores assigned anew.

    Returns
    -------
    float
        The total.
    """
    n = len(point)
    cores, threads = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    total = response_total(rate, point, order, tables, waits, False, cores, threads)
    unchanged, i = 0, -1
    while unchanged < n:
        i = (i + 1) % n
        unchanged += 1
        before = point[i]
        point[i] = _best_point(rate, point, order, tables, waits, i)
        if point[i] == before:
            continue
        better = response_total(rate, point, order, tables, waits, False, cores, threads)
        # Where nothing is stable yet any finite total is better; sums of floats in another order are not.
        if better < total * (1.0 - 1e-12):
            total = better
            unchanged = 0
        else:
            point[i] = before
    return total


@njit(cache=True, nogil=True)
def exchange(rate, point, order, tables, waits, total, most, rng):
    """Exchange places: a tenant leaves the accelerator or takes all of it, another does the opposite, then descend.

    Parameters
    ----------
    point : ndarray of int, shape (n,)
        A local optimum; better ones overwrite it.
    total : float
        Its total.
    most : int
        Pairs to try, drawn without repetition.
    rng : numpy.random.Generator

    Returns
    -------
    float
        The total of `point` at the end.
    """
    n = len(point)
    if n < 2:
        return total
    first, last = np.empty(n, np.int64), np.empty(n, np.int64)
    for i in range(n):
        runnable = np.flatnonzero(tables.runs[i])
        first[i], last[i] = runnable[0], runnable[-1]
    trial = np.empty_like(point)
    tried = 0
    for draw in rng.permutation(n * n):
        i, j = draw // n, draw % n
        if i == j:
            continue
        tried += 1
        if tried > most:
            break
        trial[:] = point
        trial[i] = first[i] if point[i] > first[i] else last[i]
        trial[j] = last[j] if trial[i] == first[i] else first[j]
        if trial[j] == point[j]:
            trial[j] = (first[j] + last[j]) // 2
            if not tables.runs[j, trial[j]]:
                continue
        better = descend(rate, trial, order, tables, waits)
        if better < total * (1.0 - 1e-12):
            total = better
            point[:] = trial
    return total


@njit(cache=True, nogil=True)
def descend_by_pairs(rate, point, order, tables, waits, total):
    """Move two tenants at once while that helps: one to any point, the other to its best answer to that.

    Finds what single moves cannot: work that changes places between two tenants at nearly the same utilisation.
    `point`, a local optimum of `descend` with this total, is changed in place; returns the total at the end.
    """
    n, longest = tables.runs.shape
    cores, threads = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    trial = np.empty_like(point)
    unchanged, i = 0, -1
    while unchanged < n:
        i = (i + 1) % n
        unchanged += 1
        for k in range(longest):
            if not tables.runs[i, k] or k == point[i]:
                continue
            for j in range(n):
                if j == i:
                    continue
                trial[:] = point
                trial[i] = k
                trial[j] = _best_point(rate, trial, order, tables, waits, j)
                better = response_total(rate, trial, order, tables, waits, False, cores, threads)
                if better < total * (1.0 - 1e-12):
                    total = better
                    point[:] = trial
                    unchanged = 0
                    break
    return total


@njit(cache=True, nogil=True)
def improve_order(rate, point, order, tables, waits):
    """Exchange two tenants in the order of memory while that shortens the total; `order` is changed in place."""
    n = len(point)
    cores, threads = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    total = response_total(rate, point, order, tables, waits, False, cores, threads)
    improved = True
    while improved:
        improved = False
        for a in range(n):
            for b in range(a + 1, n):
                order[a], order[b] = order[b], order[a]
                better = response_total(rate, point, order, tables, waits, False, cores, threads)
                if better < total * (1.0 - 1e-12):
                    total = better
                    improved = True
                else:
                    order[a], order[b] = order[b], order[a]
    return total
