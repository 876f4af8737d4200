"""Variability of what leaves one queue and enters the next, by two moments.

The queueing network analyser of W. Whitt, Bell Syst. Tech. J. 62 (1983) 2779, doi 10.1002/j.1538-7305.1983.tb03204.x.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .checks import nonnegative
from .multi_server import gigc_wait_us


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
    """Squared variation where each customer is kept with probability `share`, independently: p c² + 1 − p; exact for renewals."""
    whole, p = _checked(scv=scv, share=share)
    return p * whole + 1.0 - p


def tandem_wait_us(
    rate_hz: ArrayLike,
    share: ArrayLike,
    accelerator_utilisation: ArrayLike,
    accelerator_service_scv: ArrayLike,
    cpu_us: ArrayLike,
    cpu_scv: ArrayLike,
    servers: ArrayLike,
) -> NDArray[np.float64]:
    """Mean wait for a core pool of its own of one tenant whose requests come from a shared accelerator, µs.

    Parameters
    ----------
    rate_hz, share : array_like
        The tenant's requests a second, and their share of those that the accelerator serves, which arrive Poisson.
    accelerator_utilisation, accelerator_service_scv : array_like
        Of the accelerator's service, all tenants together, swaps included.
    cpu_us, cpu_scv : array_like
        Mean time on one of the tenant's servers and its squared variation.
    servers : array_like of int
    """
    whole = departure_scv(accelerator_utilisation, 1.0, accelerator_service_scv)
    return gigc_wait_us(rate_hz, thinned_scv(whole, share), cpu_us, cpu_scv, servers)


def _checked(**values: ArrayLike) -> list[NDArray[np.float64]]:
    parts = {name: np.asarray(value, np.float64) for name, value in values.items()}
    for name, part in parts.items():
        nonnegative(name, part)
    return list(np.broadcast_arrays(*parts.values()))
