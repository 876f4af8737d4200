"""Several servers with one queue, first come first served: mean waits by exact and by approximate formulas.

With λ arrivals a second, mean service E[S] and c servers, ρ = λ E[S]/c. Every function returns ∞ where ρ ≥ 1 or there
is no server, and 0 where nothing arrives. Arguments broadcast.

Sources: M/D/c approximately, G. P. Cosmetatos, AIIE Trans. 7 (1975) 452; exactly, C. D. Crommelin, POEEJ 25 (1932) 41,
here by the roots of the generating function; M/G/c, T. Kimura, Queueing Syst. 17 (1994) 347, doi 10.1007/BF01158699;
linear in the variability of arrivals as A. O. Allen, Probability, Statistics and Queueing Theory, and J. H. Cunneen
have it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..compiled import njit
from .checks import nonnegative


@njit(cache=True, nogil=True)
def waiting_probability_kernel(load, servers):
    """Erlang C: probability of finding all servers busy; `load` in Erlangs."""
    if load <= 0.0:
        return 0.0
    if servers < 1 or load >= servers:
        return 1.0
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = load * blocked / (k + load * blocked)
    return blocked / (1.0 - load / servers * (1.0 - blocked))


@njit(cache=True, nogil=True)
def mmc_wait_kernel(rate_per_us, service_us, servers):
    """Exact mean wait of M/M/c, µs."""
    load = rate_per_us * service_us
    if load <= 0.0:
        return 0.0
    if servers < 1 or load >= servers:
        return math.inf
    return waiting_probability_kernel(load, servers) * service_us / (servers - load)


@njit(cache=True, nogil=True)
def constant_service_factor(rho, servers):
    """Mean wait of M/D/c over that of M/M/c: Cosmetatos, but no more than its limit at ρ = 0, c/(c + 1)."""
    if servers == 1:
        return 0.5
    excess = (servers - 1) * (math.sqrt(4.0 + 5.0 * servers) - 2.0) / (16.0 * servers)
    return min(0.5 * (1.0 + excess * (1.0 - rho) / rho), servers / (servers + 1.0))


@njit(cache=True, nogil=True)
def gigc_wait_kernel(rate_per_us, arrival_scv, service_us, service_scv, servers):
    """Approximate mean wait of GI/G/c, µs; see `gigc_wait_us`. Scalars: requests a µs, µs, squared variations."""
    if rate_per_us <= 0.0 or service_us <= 0.0:
        return 0.0
    exponential = mmc_wait_kernel(rate_per_us, service_us, servers)
    if not math.isfinite(exponential) or exponential == 0.0:
        return exponential
    constant = constant_service_factor(rate_per_us * service_us / servers, servers)
    # Kimura: harmonic between the constant and the exponential service; then linear in the variability of arrivals.
    return (arrival_scv + service_scv) / (2.0 * service_scv + (1.0 - service_scv) / constant) * exponential


def waiting_probability(rate_hz: ArrayLike, service_us: ArrayLike, servers: ArrayLike) -> NDArray[np.float64]:
    """Probability that a request has to wait: exact for M/M/c, and for one server; close for other services."""
    rate, service, count = _checked(servers, rate_hz=rate_hz, service_us=service_us)
    return each(waiting_probability_kernel, rate * service / 1e6, count)


def mmc_wait_us(rate_hz: ArrayLike, service_us: ArrayLike, servers: ArrayLike) -> NDArray[np.float64]:
    """Mean wait of M/M/c (Erlang C), µs; exact."""
    rate, service, count = _checked(servers, rate_hz=rate_hz, service_us=service_us)
    return each(mmc_wait_kernel, rate / 1e6, service, count)


def mdc_wait_us(rate_hz: ArrayLike, service_us: ArrayLike, servers: ArrayLike) -> NDArray[np.float64]:
    """Mean wait of M/D/c, µs; Cosmetatos' approximation with a light-traffic cap."""
    return mgc_wait_us(rate_hz, service_us, 0.0, servers)


def mgc_wait_us(
    rate_hz: ArrayLike, service_us: ArrayLike, service_scv: ArrayLike, servers: ArrayLike
) -> NDArray[np.float64]:
    """Mean wait of M/G/c, µs; Kimura's approximation. Exact for one server, and for exponential service."""
    return gigc_wait_us(rate_hz, 1.0, service_us, service_scv, servers)


def gigc_wait_us(
    rate_hz: ArrayLike, arrival_scv: ArrayLike, service_us: ArrayLike, service_scv: ArrayLike, servers: ArrayLike
) -> NDArray[np.float64]:
    """Mean wait of GI/G/c, µs: (c_a² + c_s²)/(1 + c_s²) of the wait under Poisson arrivals.

    Parameters
    ----------
    rate_hz : array_like
        Arrivals a second.
    arrival_scv, service_scv : array_like
        Squared coefficients of variation of the times between arrivals and of service.
    service_us : array_like
        Mean service, µs.
    servers : array_like of int

    Raises
    ------
    CostError, WorkloadError
        Negative or not finite.
    """
    rate, scv, service, service_scv, count = _checked(
        servers, rate_hz=rate_hz, arrival_scv=arrival_scv, service_us=service_us, service_scv=service_scv
    )
    return each(gigc_wait_kernel, rate / 1e6, scv, service, service_scv, count)


def mdc_exact_wait_us(rate_hz: ArrayLike, service_us: ArrayLike, servers: ArrayLike) -> NDArray[np.float64]:
    """Mean wait of M/D/c, µs; exact, by the c − 1 roots of z^c = exp(−cρ(1 − z)) inside the unit circle; O(c)."""
    rate, service, count = _checked(servers, rate_hz=rate_hz, service_us=service_us)
    return each(_mdc_exact, rate / 1e6, service, count)


def _mdc_exact(rate_per_us: float, service_us: float, servers: int) -> float:
    load = rate_per_us * service_us
    if load == 0.0:
        return 0.0
    if servers < 1 or load >= servers:
        return math.inf
    rho = load / servers
    unit = np.exp(2j * np.pi * np.arange(1, servers) / servers)
    z = unit * math.exp(-rho)
    # The root of z = unit · exp(ρ (z − 1)); the map contracts by ρ|z| < 1, Newton's steps make that fast near ρ = 1.
    for _ in range(100):
        image = unit * np.exp(rho * (z - 1.0))
        step = (z - image) / (1.0 - rho * image)
        z = z - step
        if not step.size or np.abs(step).max() < 1e-15:
            break
    # Between epochs E[S] apart the number in the system goes from N to max(0, N − c) + Poisson(load).
    waiting = load / (2.0 * (servers - load)) - load / 2.0
    waiting += float(np.sum(0.5 * (1.0 + z) / (1.0 - z)).real)
    return max(0.0, waiting) / rate_per_us


def _checked(servers: ArrayLike, **values: ArrayLike) -> list[NDArray[np.float64]]:
    parts = {name: np.asarray(value, np.float64) for name, value in values.items()}
    parts["servers"] = np.asarray(servers, np.float64)
    for name, part in parts.items():
        nonnegative(name, part)
    return list(np.broadcast_arrays(*parts.values()))


def each(function: Callable[..., float], *parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply a function of scalars, the last of them a number of servers."""
    out = np.empty(parts[0].shape)
    for index in np.ndindex(out.shape):
        out[index] = function(*(float(part[index]) for part in parts[:-1]), int(parts[-1][index]))
    return out
