"""Percentiles of a tenant's response, by numerical inversion of its Laplace–Stieltjes transform.

A response is accelerator wait + reload or not + service + handover + wait for a core + time on it. Under token
residency the accelerator's part is exact: the joint transform of wait and predecessor of `swapping`. What the CPU adds
is an estimate: its wait is 0 with the probability of finding a free server and otherwise exponential, independent of
the accelerator's part.

Inversion: J. Abate and W. Whitt, ORSA J. Comput. 7 (1995) 36 (Euler), doi 10.1287/ijoc.7.1.36.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import WorkloadError
from .checks import checked_mix, nonnegative
from .idle_weights import idle_weights_kernel

Complex = NDArray[np.complex128]
TERMS, AVERAGED, DAMPING = 60, 14, 18.4
"""Euler summation: terms before averaging, binomially averaged ones, and A of the discretisation error exp(−A)."""


@dataclass(frozen=True)
class CpuStage:
    """What follows the accelerator.

    Attributes
    ----------
    wait_us : float
        Mean wait for a server.
    waiting_probability : float
        That a request has to wait; in (0, 1] where `wait_us` is positive.
    service_us, service_scv : float
    handover_us : float
        Delay before it.
    """

    wait_us: float
    waiting_probability: float
    service_us: float
    service_scv: float = 0.0
    handover_us: float = 0.0


class SwappingServer:
    """Distribution of waits and responses at a server that swaps (token residency); exact up to the inversion.

    Parameters are those of `swapping.exact_mean_wait_us`, shape (n,), with a utilisation below 1.
    """

    def __init__(
        self,
        rate_hz: ArrayLike,
        service_us: ArrayLike,
        reload_us: ArrayLike,
        service_scv: ArrayLike = 0.0,
        reload_scv: ArrayLike = 0.0,
    ) -> None:
        rate, self._m, self._tau, self._bscv, self._tscv = checked_mix(
            rate_hz, service_us, reload_us, service_scv, reload_scv
        )
        if not rate.min() > 0:
            raise WorkloadError(
                "rate_hz", expected="positive rates", got="0", remedy="Leave out classes that never arrive."
            )
        self._rate = float(rate.sum())
        self._p = rate / self._rate
        self.utilisation = float(np.sum(rate * (self._m + (1.0 - self._p) * self._tau)))
        if self.utilisation >= 1.0:
            raise WorkloadError(
                "utilisation", expected="below 1", got=f"{self.utilisation:.4g}", remedy="Lower rates or times."
            )
        m, tau = self._m * self._rate, self._tau * self._rate
        weights = idle_weights_kernel(self._p, m, tau, self._bscv, self._tscv)
        self._idle = (1.0 - self.utilisation) * weights

    def wait_tail(self, time_us: float) -> float:
        """P(W > t)."""
        return _tail(lambda s: self._waits(s).sum(axis=0), 0.0, time_us, 1.0 / self._rate)

    def response_tail(self, tenant: int, time_us: float, cpu: CpuStage | None = None) -> float:
        """P(response of a tenant > t); with a CPU stage, an estimate."""
        after, shift = _cpu(cpu)
        tail = 0.0
        # Constant times are subtracted, not inverted, for inversion blurs jumps.
        for stays in (True, False):
            constant, factors = shift, [after]
            parts = [(self._m, self._bscv)] if stays else [(self._m, self._bscv), (self._tau, self._tscv)]
            for mean, scv in parts:
                if scv[tenant] == 0.0:
                    constant += float(mean[tenant])
                else:
                    factors.append(_gamma(float(mean[tenant]), float(scv[tenant])))
            p = float(self._p[tenant])
            chance = p if stays else 1.0 - p
            if chance > 0.0:

                def part(s: Complex, stays: bool = stays, factors: list = factors, chance: float = chance) -> Complex:
                    waits = self._waits(s)
                    own = waits[tenant] if stays else waits.sum(axis=0) - waits[tenant]
                    return own / chance * np.prod([factor(s) for factor in factors], axis=0)

                tail += chance * _tail(part, constant, time_us, 1.0 / self._rate)
        return tail

    def wait_percentile_us(self, level: float) -> float:
        """The time that a share `level` of requests wait at most, µs; 0 where so many do not wait."""
        return _percentile(self.wait_tail, level, 1.0 / self._rate)

    def response_percentile_us(self, tenant: int, level: float, cpu: CpuStage | None = None) -> float:
        """The response that a share `level` of a tenant's requests has at most, µs; with a CPU stage, an estimate."""
        start = float(self._m[tenant] + self._tau[tenant]) + 1.0 / self._rate
        return _percentile(lambda t: self.response_tail(tenant, t, cpu), level, start)

    def _waits(self, s: Complex) -> Complex:
        """E[exp(−sW); predecessor of class i], shape (n, len(s)); s in 1/µs."""
        scaled = np.asarray(s) / self._rate
        b = np.array([_transform(scaled, m * self._rate, c) for m, c in zip(self._m, self._bscv, strict=True)])
        t = np.array([_transform(scaled, m * self._rate, c) for m, c in zip(self._tau, self._tscv, strict=True)])
        p, idle = self._p[:, None], self._idle[:, None]
        denominator = 1.0 - scaled - p * b * (1.0 - t)
        whole = -scaled * np.sum(idle / denominator, axis=0) / (1.0 - np.sum(p * b * t / denominator, axis=0))
        return (p * b * t * whole - scaled * idle) / denominator


def estimated_percentile_us(
    level: float,
    wait_us: float,
    utilisation: float,
    service_us: float,
    swap_probability: float,
    reload_us: float,
    cpu: CpuStage | None = None,
) -> float:
    """Estimate of a response's percentile from means alone, µs, for sets and LRU.

    The accelerator's wait is taken as 0 with probability 1 − ρ and otherwise exponential, independent of the reload.

    Parameters
    ----------
    level : float
        In (0, 1).
    wait_us, utilisation, swap_probability : float
        Of the accelerator and the tenant (`residency.accelerator_wait`).
    service_us, reload_us : float
        Constant times.
    """
    given = np.array([wait_us, utilisation, service_us, swap_probability, reload_us])
    nonnegative("means of a response", given)
    after, shift = _cpu(cpu)
    wait = _exponential(wait_us, utilisation)
    start = wait_us + service_us + reload_us + shift + (cpu.wait_us + cpu.service_us if cpu else 0.0)

    def tail(time_us: float) -> float:
        def both(s: Complex) -> Complex:
            return wait(s) * after(s)

        hit = _tail(both, shift + service_us, time_us, start)
        miss = _tail(both, shift + service_us + reload_us, time_us, start)
        return (1.0 - swap_probability) * hit + swap_probability * miss

    return _percentile(tail, level, start)


def _cpu(cpu: CpuStage | None) -> tuple[Callable[[Complex], Complex], float]:
    """Transform of a CPU stage's random times, and its constant ones, µs."""
    if cpu is None:
        return np.ones_like, 0.0
    wait = _exponential(cpu.wait_us, cpu.waiting_probability)
    if cpu.service_scv == 0.0:
        return wait, cpu.handover_us + cpu.service_us
    service = _gamma(cpu.service_us, cpu.service_scv)
    return lambda s: wait(s) * service(s), cpu.handover_us


def _exponential(mean: float, chance: float) -> Callable[[Complex], Complex]:
    """0, or with this chance exponential; of this mean altogether."""
    return lambda s: 1.0 - chance + chance / (1.0 + s * (mean / chance)) if chance > 0.0 else np.ones_like(s)


def _gamma(mean: float, scv: float) -> Callable[[Complex], Complex]:
    return lambda s: _transform(s, mean, scv)


def _transform(s: Complex, mean: float, scv: float) -> Complex:
    return np.exp(-s * mean) if scv == 0.0 else np.exp(-np.log1p(scv * s * mean) / scv)


def _tail(transform: Callable[[Complex], Complex], constant: float, time: float, unit: float) -> float:
    """P(X + constant > t) for X ≥ 0 with this transform; `unit` is some time of its order."""
    left = time - constant
    if left < 0.0:
        return 1.0
    # At the jump at 0 itself: just behind it.
    left = max(left, 1e-9 * unit)
    if left == 0.0:
        return 0.0
    k = np.arange(TERMS + AVERAGED + 1)
    s: Complex = np.asarray((DAMPING + 2j * np.pi * k) / (2.0 * left), dtype=np.complex128)
    values = ((1.0 - transform(s)) / s).real * (-1.0) ** k
    values[0] *= 0.5
    sums = np.cumsum(values)[TERMS:]
    weights = np.array([math.comb(AVERAGED, j) for j in range(AVERAGED + 1)]) / 2.0**AVERAGED
    return float(np.clip(math.exp(DAMPING / 2.0) / left * np.dot(weights, sums), 0.0, 1.0))


def _percentile(tail: Callable[[float], float], level: float, start: float) -> float:
    if not 0.0 < level < 1.0:
        raise WorkloadError("level", expected="between 0 and 1", got=f"{level}", remedy="Give for instance 0.99.")
    low, high = 0.0, start
    if tail(0.0) <= 1.0 - level:
        return 0.0
    for _ in range(200):
        if tail(high) <= 1.0 - level:
            break
        low, high = high, 2.0 * high
    for _ in range(50):
        middle = 0.5 * (low + high)
        if tail(middle) > 1.0 - level:
            low = middle
        else:
            high = middle
    return high
