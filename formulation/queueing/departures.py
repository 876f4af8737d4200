"""What leaves one queue and enters the next: variability by two moments, and the wait of a CPU stage.

Variability as in the queueing network analyser of W. Whitt, Bell Syst. Tech. J. 62 (1983) 2779, doi
10.1002/j.1538-7305.1983.tb03204.x.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..compiled import njit
from .checks import nonnegative
from .multi_server import each, gigc_wait_kernel


def departure_scv(
    utilisation: ArrayLike, arrival_scv: ArrayLike, service_scv: ArrayLike, servers: ArrayLike = 1
) -> NDArray[np.float64]:
    """Squared variation of the times between departures: 1 + (1 − ρ²)(c_a² − 1) + ρ² (c_s² − 1)/√c.

    Arguments broadcast; the utilisation ρ is of each server, in [0, 1].
    """
    rho, arrival, service, count = _checked(
        utilisation=utilisation, arrival_scv=arrival_scv, service_scv=service_scv, servers=servers
    )
    return np.maximum(0.0, 1.0 + (1.0 - rho**2) * (arrival - 1.0) + rho**2 * (service - 1.0) / np.sqrt(count))


def thinned_scv(scv: ArrayLike, share: ArrayLike) -> NDArray[np.float64]:
    """Squared variation where each customer is kept with probability `share`, independently: p c² + 1 − p.

    Exact for independent times between customers.
    """
    whole, p = _checked(scv=scv, share=share)
    return p * whole + 1.0 - p


@njit(cache=True, nogil=True)
def tandem_wait_kernel(rate_per_us, arrival_scv, accelerator_us, accelerator_scv, cpu_us, cpu_scv, servers):
    """See `tandem_wait_us`; scalars, requests a µs."""
    busy = rate_per_us * accelerator_us
    regular = max(0.0, 1.0 - accelerator_scv)
    excess = max(0.0, arrival_scv - 1.0 + regular * busy * busy) if regular > 0.0 else arrival_scv - 1.0
    wait = gigc_wait_kernel(rate_per_us, 1.0 + excess, cpu_us, cpu_scv, servers)
    if not wait < math.inf or regular == 0.0:
        return wait
    if busy >= 1.0:
        return 0.0
    return max(0.0, wait - regular * busy * accelerator_us / (2.0 * (1.0 - busy)))


def tandem_wait_us(
    rate_hz: ArrayLike,
    arrival_scv: ArrayLike,
    accelerator_us: ArrayLike,
    accelerator_scv: ArrayLike,
    cpu_us: ArrayLike,
    cpu_scv: ArrayLike,
    servers: ArrayLike,
) -> NDArray[np.float64]:
    """Mean wait for a tenant's own servers behind a shared accelerator with Poisson arrivals, µs; an approximation.

    Two moments of the departures (QNA) know what other tenants and reloads do to a tenant's requests, but not that
    those leave the accelerator at least a service apart. That is worth what the tenant would wait for an accelerator
    of its own: constant services in tandem may change places without changing when requests leave (H. D. Friedman,
    Oper. Res. 13 (1965) 121, doi 10.1287/opre.13.1.121), so that a tenant alone waits, in both places together, as long
    as at the slower one. So: the wait under arrivals of the variability that others cause, less that wait. Exact for a
    tenant alone with constant times and one server, and behind exponential services, where by Burke's theorem
    arrivals are Poisson.

    Parameters
    ----------
    rate_hz : array_like
        The tenant's requests a second.
    arrival_scv : array_like
        Squared variation of the times between its departures by QNA: `thinned_scv` of `departure_scv`.
    accelerator_us, accelerator_scv : array_like
        Its mean service on the accelerator without reloads, and the squared variation.
    cpu_us, cpu_scv : array_like
        Mean time on one of its servers, and the squared variation.
    servers : array_like of int
    """
    rate, scv, first, first_scv, second, second_scv, count = _checked(
        rate_hz=rate_hz,
        arrival_scv=arrival_scv,
        accelerator_us=accelerator_us,
        accelerator_scv=accelerator_scv,
        cpu_us=cpu_us,
        cpu_scv=cpu_scv,
        servers=servers,
    )
    return each(tandem_wait_kernel, rate / 1e6, scv, first, first_scv, second, second_scv, count)


def _checked(**values: ArrayLike) -> list[NDArray[np.float64]]:
    parts = {name: np.asarray(value, np.float64) for name, value in values.items()}
    for name, part in parts.items():
        nonnegative(name, part)
    return list(np.broadcast_arrays(*parts.values()))
