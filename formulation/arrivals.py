"""When requests arrive: the same seeded times for the simulator and for the live load generator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .workload import Arrival, Periodic, Poisson


def arrival_times(arrival: Arrival, duration_us: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Arrival times in ``[0, duration_us)``, ascending, in microseconds.

    Parameters
    ----------
    arrival : Periodic, Poisson or Trace
        A trace is played from its own times and not repeated.
    duration_us : float
    rng : numpy.random.Generator
        Used by Poisson arrivals only.
    """
    if isinstance(arrival, Periodic):
        return np.arange(arrival.phase_us, duration_us, arrival.period_us)
    if isinstance(arrival, Poisson):
        count = rng.poisson(arrival.rate_hz * duration_us / 1e6)
        return np.sort(rng.uniform(0.0, duration_us, count))
    times = np.asarray(arrival.times_us, dtype=np.float64)
    return times[times < duration_us]
