r"""The mean wait for an accelerator whose memory keeps some tenants' weights between requests, first come first served.

Under every residency policy here a request finds its weights absent or not by what was requested before, so services
correlate. Write π_i for the probability of absence (`presence`), S for a whole service, and H(z) = Σ_k E[S_{n+k} − E S
| state z after request n − 1] for what a state costs later. Then, by conservation of workload and stationarity of
H(Z_n) W_{n+1},

    E[W] = Λ (E[S²]/2 + Σ_{k ≥ 1} Cov(S_n, S_{n+k})) / (1 − ρ) + E_w[H],

with w the distribution of the state at the requests that leave the accelerator idle, unknown but for token residency
(`swapping`). Where tenant i's absence is a Markov chain of two states, H is the sum of p_i τ_i (1[i absent] − π_i) (1 −
π_i)/p_i; that holds for token residency and for sets, and is taken as an approximation under LRU. For w the state after
a request is weighted by E exp(−ΛS), and the change that this makes is enlarged for the services before (see
`correlated_wait`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UnsupportedError
from .checks import checked_mix
from .departures import departure_scv, thinned_scv
from .presence import Presence, lru_presence, set_presence
from .swapping import mean_wait_kernel
from .transforms import transform

if TYPE_CHECKING:
    from ..tenancy.demands import Demands


@dataclass(frozen=True, eq=False)
class AcceleratorStage:
    """The accelerator under one allocation.

    Attributes
    ----------
    wait_us : float
        Mean wait until the accelerator takes a request; ∞ where unstable.
    utilisation : float
        Share of time that it serves or reloads.
    swap_probability : ndarray, shape (tenants,)
        Of each tenant's requests; 0 for tenants that do not visit it.
    exact : bool
        Whether `wait_us` is exact for Poisson arrivals.
    service_scv : float
        Squared variation of a service, all tenants together, reloads included.
    share : ndarray, shape (tenants,)
        Of its requests.
    """

    wait_us: float
    utilisation: float
    swap_probability: NDArray[np.float64]
    exact: bool
    service_scv: float
    share: NDArray[np.float64]

    def departure_scv(self, tenant: int) -> float:
        """Squared variation of the times between departures of one tenant's requests; a two-moment approximation."""
        whole = departure_scv(min(self.utilisation, 1.0), 1.0, self.service_scv)
        return float(thinned_scv(whole, self.share[tenant]))


def accelerator_wait(
    rate_hz: ArrayLike,
    service_us: ArrayLike,
    reload_us: ArrayLike,
    residency_set: ArrayLike,
    resident_bytes: ArrayLike,
    capacity_bytes: int,
    residency_kind: str,
    service_scv: ArrayLike = 0.0,
    reload_scv: ArrayLike = 0.0,
) -> AcceleratorStage:
    """Mean wait, utilisation and swap probabilities under a residency policy.

    Exact for ``token``; for sets and LRU where nobody evicts anybody or everybody evicts everybody; else approximate.

    Parameters
    ----------
    rate_hz, service_us, reload_us : array_like, shape (tenants,)
        Poisson arrivals a second, mean service with the weights resident, mean reload otherwise.
    residency_set, resident_bytes : array_like of int, shape (tenants,)
        As in `Demands`: the set, -1 for a tenant that does not visit the accelerator; what it keeps in the memory.
    capacity_bytes : int
    residency_kind : str
        ``token``, ``co_compiled`` or ``lru``.
    service_scv, reload_scv : array_like
        Squared variations, 0 for constant times, otherwise gamma.

    Raises
    ------
    CostError, WorkloadError
        Negative or not finite.
    UnsupportedError
        Another residency.
    """
    sets = np.asarray(residency_set, np.int64)
    rate, *times = checked_mix(rate_hz, service_us, reload_us, service_scv, reload_scv)
    on = np.flatnonzero((sets >= 0) & (rate > 0))
    total = float(rate[on].sum())
    swap, share = np.zeros(len(rate)), np.zeros(len(rate))
    if not on.size:
        return AcceleratorStage(0.0, 0.0, swap, True, 0.0, share)
    p = rate[on] / total
    if residency_kind == "token":
        presence = set_presence(p, np.arange(len(on)))
    elif residency_kind == "co_compiled":
        presence = set_presence(p, sets[on])
    elif residency_kind == "lru":
        presence = lru_presence(p, np.asarray(resident_bytes, np.int64)[on], int(capacity_bytes))
    else:
        raise UnsupportedError(
            "residency", expected="token, co_compiled or lru", got=repr(residency_kind), remedy="Name one of these."
        )
    swap[on], share[on] = presence.absent, p
    m, tau, bscv, tscv = (part[on] * scale for part, scale in zip(times, (total, total, 1.0, 1.0), strict=True))
    rho = float(np.sum(p * (m + presence.absent * tau)))
    square = float(np.sum(p * (m**2 * (1 + bscv) + presence.absent * tau * (2 * m + tau * (1 + tscv)))))
    scv = max(0.0, square / rho**2 - 1.0) if rho > 0 else 0.0
    exact = presence.one_step or not presence.absent.any()
    if rho >= 1.0:
        wait = np.inf
    elif presence.one_step:
        wait = float(mean_wait_kernel(p, m, tau, bscv, tscv)) / total
    else:
        wait = correlated_wait(p, m, tau, bscv, tscv, presence) / total
    return AcceleratorStage(wait, rho, swap, exact, scv, share)


def accelerator_wait_us(
    demands: Demands,
    rate_hz: ArrayLike,
    capacity_bytes: int,
    residency_kind: str,
    service_scv: ArrayLike = 0.0,
    reload_scv: ArrayLike = 0.0,
) -> tuple[float, bool]:
    """Mean wait under an allocation's demands, µs, and whether it is exact; see `accelerator_wait`."""
    stage = accelerator_wait(
        rate_hz,
        demands.service_us,
        demands.reload_us,
        demands.residency_set,
        demands.resident_bytes,
        capacity_bytes,
        residency_kind,
        service_scv,
        reload_scv,
    )
    return stage.wait_us, stage.exact


def correlated_wait(
    p: NDArray[np.float64],
    m: NDArray[np.float64],
    tau: NDArray[np.float64],
    bscv: NDArray[np.float64],
    tscv: NDArray[np.float64],
    presence: Presence,
) -> float:
    """Mean wait by the formula at the top of this module, in units of 1/Λ.

    Shares, mean service and reload times in units of 1/Λ, their squared variations, all of shape (n,); ρ < 1.
    """
    absent, hit, miss = presence.absent, presence.absent_after_hit, presence.absent_after_miss
    rho = float(np.sum(p * (m + absent * tau)))
    square = float(np.sum(p * (m**2 * (1 + bscv) + absent * tau * (2 * m + tau * (1 + tscv)))))
    later = tau * (1.0 - absent)
    covariance = float(np.sum(later * ((hit * m + miss * (m + tau)) @ p - absent * rho)))
    b = np.array([transform(1.0, float(x), float(c)) for x, c in zip(m, bscv, strict=True)])
    t = np.array([transform(1.0, float(x), float(c)) for x, c in zip(tau, tscv, strict=True)])
    weight = float(np.sum(p * b * (1.0 - absent + t * absent)))
    at_idle = ((hit + miss * t) @ (p * b)) / weight if weight > 0.0 else absent
    # Earlier services weigh, too, as far as both state and workload remember them: the state by 1 − p/(1 − π) a step,
    # the workload by about ρ, the chance that a request does not find the accelerator idle.
    present = 1.0 - absent
    change = np.divide(at_idle - absent, 1.0 - rho * np.maximum(0.0, 1.0 - p / np.maximum(present, p)))
    at_idle = np.clip(absent + change, 0.0, 1.0)
    idle = float(np.sum(later * (at_idle - absent)))
    return max(0.0, (0.5 * square + covariance) / (1.0 - rho) + idle)
