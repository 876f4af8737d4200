r"""A server that swaps weights in, first come first served: mean wait under Poisson arrivals, exact and bounded.

A request of class i that follows one of another class first swaps in (time T_i), then is served (B_i). Classes are
drawn independently with shares p_i = λ_i/Λ, so a swap has probability 1 − p_i, but consecutive services are not
independent: M/SM/1, not M/G/1. With m_i = E B_i, τ_i = E T_i, s_i = m_i + (1 − p_i) τ_i, y_i = p_i τ_i and S a
request's whole service,

    E[W] = Λ (E[S²] − 2 Cov_p(y, s)) / (2 (1 − ρ)) + Σ p_i y_i − Σ w_i y_i,

where w_i is the share of class i among the requests that leave the server idle. *Why*: the workload that an arrival
meets is conserved, E[W] = Λ (E[S²] + 2 Cov(S_n, W_n)) / (2 (1 − ρ)); S_n depends on the past through the class j of its
predecessor alone, by −y_j; and E[W_n | predecessor of class j] − E[W] = s_j − 1/Λ + e_j/Λ, the last term the idle time,
with e_j = E exp(−Λ(W + S_j)) and w_j = p_j e_j/(1 − ρ). So only the weights w are unknown; they sum to 1, and whatever
they are moves the wait by no more than the range of y.

Bounds: e_j = b_j (t_j φ + (1 − t_j) φ_j) with the transforms b_j, t_j of B_j, T_j at Λ, φ_j = E[exp(−ΛW_n); predecessor
of class j] ≥ 0 and φ = Σ φ_j. So w ∝ p_j b_j (t_j + (1 − t_j) u_j) for some u in the simplex, and Σ w_j y_j, a ratio of
two linear functions of u, is extreme where u is one class. The approximation takes u = p.

The weights themselves follow from D_i φ_i = Λ p_i b_i t_i φ − s (1 − ρ) w_i with D_i(s) = Λ − s − Λ p_i b_i (1 − t_i),
so that φ F = −s (1 − ρ) Σ w_i/D_i with F = 1 − Σ Λ p_i b_i t_i/D_i. Each D_i falls (its slope is at most −1 + Λ p_i m_i
< 0) and has one zero s_i in [Λ(1 − p_i), Λ]; F changes sign once between adjacent ones, and there the right side
vanishes. In the limit of two equal zeros that row reads w_i/(p_i b_i t_i) = w_j/(p_j b_j t_j).

Semi-Markov services: M. F. Neuts, The single server queue with Poisson input and semi-Markov service times, J. Appl.
Prob. 3 (1966) 202. The closed form, bounds and equations above were derived for this module.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..compiled import njit
from .checks import checked_mix
from .idle_weights import idle_weights_kernel
from .transforms import one_minus_transform, transform


@njit(cache=True, nogil=True)
def _loaded(rate):
    """Total rate and the indices of classes that arrive at all."""
    total = 0.0
    for r in rate:
        total += r
    return total, np.flatnonzero(rate > 0.0)


@njit(cache=True, nogil=True)
def heavy_traffic_kernel(p, m, tau, bscv, tscv):
    """ρ, and E[W] (1 − ρ) but for the idle weights, which is E[S²]/2 − Cov_p(y, s) + (1 − ρ) Σ p y; times in 1/Λ."""
    rho, square, y_mean, product = 0.0, 0.0, 0.0, 0.0
    for i in range(len(p)):
        swap = 1.0 - p[i]
        s = m[i] + swap * tau[i]
        y = p[i] * tau[i]
        rho += p[i] * s
        square += p[i] * (m[i] ** 2 * (1.0 + bscv[i]) + swap * tau[i] * (2.0 * m[i] + tau[i] * (1.0 + tscv[i])))
        y_mean += p[i] * y
        product += p[i] * y * s
    return rho, 0.5 * square - (product - y_mean * rho) + (1.0 - rho) * y_mean


@njit(cache=True, nogil=True)
def mean_wait_kernel(rate_per_us, service_us, reload_us, service_scv, reload_scv):
    """Exact mean wait, µs; ∞ from ρ = 1.

    Arrays of shape (n,): rates a µs, zeros allowed, mean times, squared variations. For other compiled code;
    `exact_mean_wait_us` checks its input.
    """
    total, on = _loaded(rate_per_us)
    if len(on) == 0:
        return 0.0
    p, m, tau = rate_per_us[on] / total, service_us[on] * total, reload_us[on] * total
    bscv, tscv = service_scv[on], reload_scv[on]
    rho, numerator = heavy_traffic_kernel(p, m, tau, bscv, tscv)
    if rho >= 1.0:
        return np.inf
    y = p * tau
    idle = y[0]
    if y.max() > y.min():
        idle = (idle_weights_kernel(p, m, tau, bscv, tscv) * y).sum()
    return max(0.0, numerator / (1.0 - rho) - idle) / total


@njit(cache=True, nogil=True)
def approximate_wait_kernel(rate_per_us, service_us, reload_us, service_scv, reload_scv):
    """Approximate mean wait, µs: as `mean_wait_kernel`, with idle weights in closed form; O(n)."""
    return _closed_form(rate_per_us, service_us, reload_us, service_scv, reload_scv)[2]


@njit(cache=True, nogil=True)
def _closed_form(rate_per_us, service_us, reload_us, service_scv, reload_scv):
    """Lower bound, upper bound and approximation of the mean wait, µs."""
    total, on = _loaded(rate_per_us)
    if len(on) == 0:
        return 0.0, 0.0, 0.0
    p, m, tau = rate_per_us[on] / total, service_us[on] * total, reload_us[on] * total
    bscv, tscv = service_scv[on], reload_scv[on]
    rho, numerator = heavy_traffic_kernel(p, m, tau, bscv, tscv)
    if rho >= 1.0:
        return np.inf, np.inf, np.inf
    # Weights w ∝ base + u·extra: base where every request swaps in, extra for those that follow their own class.
    n = len(p)
    base, extra = np.empty(n), np.empty(n)
    for i in range(n):
        b = p[i] * transform(1.0, m[i], bscv[i])
        extra[i] = b * one_minus_transform(1.0, tau[i], tscv[i])
        base[i] = b * transform(1.0, tau[i], tscv[i])
    y = p * tau
    weight, weighted = base.sum(), (base * y).sum()
    least, most = np.inf, -np.inf
    for i in range(n):
        if weight + extra[i] > 0.0:
            value = (weighted + extra[i] * y[i]) / (weight + extra[i])
            least, most = min(least, value), max(most, value)
    middle = (weighted + (p * extra * y).sum()) / (weight + (p * extra).sum())
    wait = numerator / (1.0 - rho)
    return max(0.0, wait - most) / total, max(0.0, wait - least) / total, max(0.0, wait - middle) / total


@njit(cache=True, nogil=True)
def _closed_forms(rate, service, reload, service_scv, reload_scv, out):
    for row in range(len(rate)):
        out[row] = _closed_form(rate[row], service[row], reload[row], service_scv[row], reload_scv[row])


def exact_mean_wait_us(
    rate_hz: ArrayLike,
    service_us: ArrayLike,
    reload_us: ArrayLike,
    service_scv: ArrayLike = 0.0,
    reload_scv: ArrayLike = 0.0,
) -> float:
    """Exact mean wait until the server takes a request, µs; the same for every class.

    Parameters
    ----------
    rate_hz : array_like, shape (n,)
        Poisson arrivals of each class, a second; 0 leaves a class out.
    service_us, reload_us : array_like, shape (n,)
        Mean time of a service, and of the swap before it where another class came before.
    service_scv, reload_scv : array_like, broadcast to (n,)
        Squared coefficients of variation: 0 for constant times, otherwise gamma distributed.

    Returns
    -------
    float
        ∞ where the server's utilisation is 1 or more.

    Raises
    ------
    CostError, WorkloadError
        Negative or not finite.
    """
    mix = checked_mix(rate_hz, service_us, reload_us, service_scv, reload_scv)
    return float(mean_wait_kernel(*(np.ascontiguousarray(part.reshape(-1)) for part in mix)))


def wait_bounds_us(
    rate_hz: ArrayLike,
    service_us: ArrayLike,
    reload_us: ArrayLike,
    service_scv: ArrayLike = 0.0,
    reload_scv: ArrayLike = 0.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rigorous lower and upper bound of the mean wait, µs, each of the leading shape; arguments broadcast to (..., n).

    They differ by no more than the range of p_i τ_i, whatever the load.
    """
    out = _leading(rate_hz, service_us, reload_us, service_scv, reload_scv)
    return out[..., 0], out[..., 1]


def approximate_mean_wait_us(
    rate_hz: ArrayLike,
    service_us: ArrayLike,
    reload_us: ArrayLike,
    service_scv: ArrayLike = 0.0,
    reload_scv: ArrayLike = 0.0,
) -> NDArray[np.float64]:
    """Closed form within the bounds, µs, of the leading shape; arguments broadcast to (..., n)."""
    return _leading(rate_hz, service_us, reload_us, service_scv, reload_scv)[..., 2]


def mixture_wait_us(
    rate_hz: ArrayLike,
    service_us: ArrayLike,
    reload_us: ArrayLike,
    service_scv: ArrayLike = 0.0,
    reload_scv: ArrayLike = 0.0,
) -> NDArray[np.float64]:
    """Pollaczek–Khinchine as if swaps were independent, µs: the usual approximation, here for comparison."""
    rate, m, tau, bscv, tscv = checked_mix(rate_hz, service_us, reload_us, service_scv, reload_scv)
    total = rate.sum(axis=-1, keepdims=True)
    p = np.divide(rate, total, out=np.zeros_like(rate), where=total > 0)
    mean = np.sum(p * (m + (1 - p) * tau), axis=-1)
    square = np.sum(p * (m**2 * (1 + bscv) + (1 - p) * tau * (2 * m + tau * (1 + tscv))), axis=-1)
    return pollaczek_khinchine_wait_us(total[..., 0] * 1e6, mean, square)


def pollaczek_khinchine_wait_us(
    rate_hz: ArrayLike, mean_us: ArrayLike, second_moment_us2: ArrayLike
) -> NDArray[np.float64]:
    """Mean wait of M/G/1, µs: λ E[S²] / (2 (1 − ρ)); ∞ from ρ = 1. Arguments broadcast."""
    rate = np.asarray(rate_hz, dtype=np.float64) / 1e6
    rate, mean, square = np.broadcast_arrays(rate, np.asarray(mean_us, float), np.asarray(second_moment_us2, float))
    idle = 1.0 - rate * mean
    out = np.full(rate.shape, math.inf)
    return np.divide(rate * square, 2.0 * idle, out=out, where=idle > 0)


def _leading(
    rate_hz: ArrayLike, service_us: ArrayLike, reload_us: ArrayLike, service_scv: ArrayLike, reload_scv: ArrayLike
) -> NDArray[np.float64]:
    """Closed forms of every mix: shape (..., 3)."""
    mix = checked_mix(rate_hz, service_us, reload_us, service_scv, reload_scv)
    shape = mix[0].shape
    out = np.empty((int(np.prod(shape[:-1])), 3))
    rate, service, reload, bscv, tscv = (np.ascontiguousarray(part.reshape(-1, shape[-1])) for part in mix)
    _closed_forms(rate, service, reload, bscv, tscv, out)
    return out.reshape((*shape[:-1], 3))
