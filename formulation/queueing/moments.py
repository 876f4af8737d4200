"""Mean and second moment of the wait for a swapping server, exact, from the power series of its transform at 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .checks import checked_mix
from .idle_weights import idle_weights_kernel

ORDER = 4
"""Series are kept up to s³: the transform of the wait is a quotient whose denominator vanishes at 0."""


def wait_moments_us(
    rate_hz: ArrayLike,
    service_us: ArrayLike,
    reload_us: ArrayLike,
    service_scv: ArrayLike = 0.0,
    reload_scv: ArrayLike = 0.0,
) -> tuple[float, float]:
    """Exact mean (µs) and second moment (µs²) of the wait; arguments of shape (n,) as in `swapping.exact_mean_wait_us`.

    With the transforms of `swapping`, E exp(−sW) = −(1 − ρ) Σ w_i/D_i(s) · s/F(s). Both ∞ from ρ = 1.

    Raises
    ------
    CostError, WorkloadError
        Negative or not finite.
    """
    rate, *times = checked_mix(rate_hz, service_us, reload_us, service_scv, reload_scv)
    total = float(rate.sum())
    on = np.flatnonzero(rate > 0)
    if not on.size:
        return 0.0, 0.0
    p = rate[on] / total
    m, tau, bscv, tscv = (part[on] * scale for part, scale in zip(times, (total, total, 1.0, 1.0), strict=True))
    rho = float(np.sum(p * (m + (1.0 - p) * tau)))
    if rho >= 1.0:
        return np.inf, np.inf
    idle = (1.0 - rho) * idle_weights_kernel(p, m, tau, bscv, tscv)
    top, bottom = np.zeros(ORDER), np.zeros(ORDER)
    bottom[0] = 1.0
    for i in range(len(p)):
        served = _series(m[i], bscv[i])
        swapped = _times(served, _series(tau[i], tscv[i]))
        inverse = _inverse(np.array([1.0, -1.0, 0.0, 0.0]) - p[i] * (served - swapped))
        top += idle[i] * inverse
        bottom -= p[i] * _times(swapped, inverse)
    # The constant of `bottom` is 1 − Σ p = 0: dividing by s shifts it.
    wait = -_times(top, _inverse(np.append(bottom[1:], 0.0)))
    return max(0.0, float(-wait[1])) / total, max(0.0, float(2.0 * wait[2])) / total**2


def _series(mean: float, scv: float) -> NDArray[np.float64]:
    """E exp(−sX) = 1 − E[X] s + E[X²] s²/2 − E[X³] s³/6 for constant or gamma X."""
    second = mean**2 * (1.0 + scv)
    return np.array([1.0, -mean, second / 2.0, -second * mean * (1.0 + 2.0 * scv) / 6.0])


def _times(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.convolve(a, b)[:ORDER]


def _inverse(a: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.zeros(ORDER)
    out[0] = 1.0 / a[0]
    for k in range(1, ORDER):
        out[k] = -np.dot(a[1 : k + 1], out[k - 1 :: -1][:k]) / a[0]
    return out
