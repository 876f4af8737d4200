"""Lower bounds for a given set of tenants on the accelerator and a slice of its utilisation.

Which tenants visit the accelerator fixes every swap probability. Within utilisations [low, high] the mean wait is then
bounded from below by a sum over tenants: with y = p τ, s the mean service with its share of reloads, and Λ the rate of
the accelerator,

    E[W] = Λ (E[S²] − 2 Cov_p(y, s)) / (2 (1 − ρ)) + Σ p y − Σ π y,     π_j = p_j E[exp(−Λ (W + S_j))] / (1 − ρ),

(workload conservation and PASTA; see `edgeplan.formulation.queueing.swapping`). The first numerator is not negative, so
1 − ρ may be replaced by 1 − low; π_j is at most p_j b_j(Λ) (p_j + (1 − p_j) t_j(Λ)) / (1 − high). What remains is a
choice of one option and a number of cores for each tenant under three coupled limits: all cores, by dynamic program;
the slice and the memory, by Lagrange multipliers.
"""

from __future__ import annotations

import numpy as np

from ...formulation.compiled import njit
from .kernels import STRAIGHT, behind_accelerator, cpu_response_row, laplace
from .options import options_of


@njit(cache=True, nogil=True)
def slice_costs(rate, on, low, high, options, tables, waits):
    """Separable lower bound of the total in a slice.

    Returns
    -------
    cost : ndarray, shape (n, J, cores + 1)
        ∞ for what is not possible.
    load : ndarray, shape (2, n, J)
        Least and most utilisation of the accelerator.
    """
    n, width = len(rate), waits.shape[2]
    cost = np.full((n, options.point.shape[1], width), np.inf)
    load = np.zeros((2, n, options.point.shape[1]))
    row = np.empty(width)
    threads = np.empty(width, dtype=np.int64)
    rate_on = 0.0
    for i in range(n):
        if on[i]:
            rate_on += rate[i]
    for i in range(n):
        for j in range(options.choices[i]):
            k = options.point[i, j]
            fixed, behind = 0.0, STRAIGHT
            if on[i]:
                p = rate[i] / rate_on
                m, tau, scv = options.service_us[i, j], options.reload_us[i, j], tables.accelerator_scv[i]
                s = m + (1.0 - p) * tau
                y = p * tau
                load[0, i, j] = rate[i] * s
                load[1, i, j] = rate[i] * (options.service_most_us[i, j] + (1.0 - p) * tau)
                second = m * m * (1.0 + scv) + (1.0 - p) * tau * (2.0 * m + tau)
                numerator = p * (second - 2.0 * y * s) + 2.0 * p * y * low / rate_on
                ending = p * laplace(m, scv, rate_on) * (p + (1.0 - p) * np.exp(-rate_on * tau))
                ended = min(1.0, ending / max(1.0 - high, 1e-12))
                wait = rate_on * numerator / (2.0 * (1.0 - low)) + p * y - ended * y
                fixed = rate[i] * (s + tables.handover_us[i, k]) + rate_on * wait
                # E[S²] is at least E[S]², so the arrivals at the CPU vary at least this much.
                # A partial tenant's service is known to a range: the least that is added, the most that is taken off.
                factor, _ = behind_accelerator(rate[i], p, high, high * high, m, scv, tables.cpu_scv[i])
                most = options.service_most_us[i, j]
                rarest, less = behind_accelerator(rate[i], p, high, high * high, most, scv, tables.cpu_scv[i])
                behind = (factor if rarest > 0.0 else 0.0, less)
            cpu_response_row(tables.cpu_us[i, k], waits[i, k], tables.speedup[i], behind, row, threads)
            for c in range(width):
                cost[i, j, c] = fixed + rate[i] * row[c]
    return cost, load


@njit(cache=True, nogil=True)
def completion(cost, load, taken, count, on_load, on_bytes):
    """Least priced cost of tenants i, i + 1, … with at most c cores, shape (n + 1, cores + 1)."""
    priced_load = load[0] if on_load >= 0.0 else load[1]
    n, _, width = cost.shape
    least = np.full((n + 1, width), np.inf)
    least[n, :] = 0.0
    own = np.empty(width)
    for i in range(n - 1, -1, -1):
        own[:] = np.inf
        for j in range(count[i]):
            priced = on_load * priced_load[i, j] + on_bytes * taken[i, j]
            for c in range(width):
                own[c] = min(own[c], cost[i, j, c] + priced)
        for c in range(width):
            for mine in range(c + 1):
                least[i, c] = min(least[i, c], own[mine] + least[i + 1, c - mine])
    return least


@njit(cache=True, nogil=True)
def shift_of(on_load, on_bytes, low, high, capacity):
    """What the multipliers take off again: the limits times their prices."""
    return -on_load * (high if on_load >= 0.0 else low) - on_bytes * capacity


@njit(cache=True, nogil=True)
def slice_bound(rate, on, partial, low, high, tables, waits, enough):
    """Largest Lagrangian bound found of the totals in a slice; stops early once it is `enough`.

    Returns
    -------
    bound, on_load, on_bytes : float
        The bound, and the multipliers of utilisation and of memory that gave it.
    """
    options = options_of(on, partial, tables)
    cost, load = slice_costs(rate, on, low, high, options, tables, waits)
    n = len(rate)
    smallest, largest, fewest_bytes = 0.0, 0.0, 0.0
    for i in range(n):
        if options.choices[i] == 0:
            return np.inf, 0.0, 0.0
        own = options.choices[i]
        smallest += load[0, i, :own].min()
        largest += load[1, i, :own].max()
        fewest_bytes += options.bytes[i, :own].min()
    # A hair of slack: the loads are summed in another order where they are tested.
    out_of_reach = smallest > high * (1.0 + 1e-12) or largest < low * (1.0 - 1e-12)
    if out_of_reach or fewest_bytes > tables.capacity_bytes:
        return np.inf, 0.0, 0.0
    best, on_load, on_bytes = -np.inf, 0.0, 0.0
    sweeps = 2 if options.bytes.max() > 0.0 else 1
    for _ in range(sweeps):
        for axis in range(sweeps):
            at = on_load if axis == 0 else on_bytes
            # The dual is concave: walk uphill in doubled steps, then narrow down by golden sections.
            value = _dual(cost, load, options, on_load, on_bytes, low, high, tables.capacity_bytes)
            if value > best:
                best = value
            if best >= enough or not np.any(on):
                return best, on_load, on_bytes
            scale = max(best, 1e-9) if axis == 0 else max(best, 1e-9) / tables.capacity_bytes
            sign = 1.0
            probe = _along(cost, load, options, on_load, on_bytes, axis, at + 1e-3 * scale, low, high, tables)
            if probe < best:
                sign = -1.0
            left, right = 0.0, 0.25 * scale
            for _ in range(30):
                value = _along(cost, load, options, on_load, on_bytes, axis, at + sign * right, low, high, tables)
                if value <= best:
                    break
                best = value
                if axis == 0:
                    on_load = at + sign * right
                else:
                    on_bytes = max(0.0, at + sign * right)
                if best >= enough:
                    return best, on_load, on_bytes
                left = 0.5 * right
                right *= 2.0
            for _ in range(20):
                first, second = left + 0.382 * (right - left), left + 0.618 * (right - left)
                one = _along(cost, load, options, on_load, on_bytes, axis, at + sign * first, low, high, tables)
                two = _along(cost, load, options, on_load, on_bytes, axis, at + sign * second, low, high, tables)
                place, value = (first, one) if one >= two else (second, two)
                if one >= two:
                    right = second
                else:
                    left = first
                if value > best:
                    best = value
                    if axis == 0:
                        on_load = at + sign * place
                    else:
                        on_bytes = max(0.0, at + sign * place)
                    if best >= enough:
                        return best, on_load, on_bytes
    return best, on_load, on_bytes


@njit(cache=True, nogil=True)
def _dual(cost, load, options, on_load, on_bytes, low, high, capacity):
    least = completion(cost, load, options.bytes, options.choices, on_load, on_bytes)
    return least[0, cost.shape[2] - 1] + shift_of(on_load, on_bytes, low, high, capacity)


@njit(cache=True, nogil=True)
def _along(cost, load, options, on_load, on_bytes, axis, value, low, high, tables):
    if axis == 0:
        return _dual(cost, load, options, value, on_bytes, low, high, tables.capacity_bytes)
    return _dual(cost, load, options, on_load, max(0.0, value), low, high, tables.capacity_bytes)


@njit(cache=True, nogil=True)
def slice_choice(rate, on, low, high, on_load, on_bytes, tables, waits, point_out):
    """The partition points that attain the priced bound of a slice, filled into `point_out`; whether there are any."""
    options = options_of(on, -1, tables)
    cost, load = slice_costs(rate, on, low, high, options, tables, waits)
    least = completion(cost, load, options.bytes, options.choices, on_load, on_bytes)
    n, _, width = cost.shape
    if not least[0, width - 1] < np.inf:
        return False
    priced_load = load[0] if on_load >= 0.0 else load[1]
    left = width - 1
    for i in range(n):
        best, taken = np.inf, 0
        for j in range(options.choices[i]):
            priced = on_load * priced_load[i, j] + on_bytes * options.bytes[i, j]
            for c in range(left + 1):
                value = cost[i, j, c] + priced + least[i + 1, left - c]
                if value < best:
                    best, taken = value, c
                    point_out[i] = options.point[i, j]
        left -= taken
    return True
