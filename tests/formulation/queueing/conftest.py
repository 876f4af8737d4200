"""An independent simulation: Lindley's recursion with batch-means intervals."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numba import njit
from scipy import stats

BATCHES = 40


@njit
def _waits(rate, service, reload, service_scv, reload_scv, rng, out):
    """One server that swaps in where the tenant changes; waits in the order of arrival, in the unit of the times."""
    total, edges = rate.sum(), np.cumsum(rate / rate.sum())
    before, wait = -1, 0.0
    for k in range(len(out)):
        u, i = rng.random(), 0
        while i < len(rate) - 1 and edges[i] < u:
            i += 1
        out[k] = wait
        time = service[i] if service_scv == 0.0 else rng.gamma(1.0 / service_scv, service[i] * service_scv)
        if i != before and reload[i] > 0.0:
            time += reload[i] if reload_scv == 0.0 else rng.gamma(1.0 / reload_scv, reload[i] * reload_scv)
        before = i
        wait = max(0.0, wait + time - rng.exponential(1.0 / total))


Simulation = Callable[..., tuple[float, float, np.ndarray]]


@pytest.fixture(scope="session")
def simulate() -> Simulation:
    """Mean wait, half width of its interval at a confidence level, and all waits."""

    def run(rate_hz, service, reload, scv=(0.0, 0.0), requests=1_000_000, seed=0, level=0.99):
        waits = np.empty(requests)
        _waits(np.asarray(rate_hz) / 1e6, service, reload, *scv, np.random.default_rng(seed), waits)
        means = waits.reshape(BATCHES, -1).mean(axis=1)
        half = stats.t.ppf(0.5 + level / 2, BATCHES - 1) * means.std(ddof=1) / math.sqrt(BATCHES)
        return float(means.mean()), float(half), waits

    return run


Mix = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="session")
def random_mix() -> Callable[..., Mix]:
    """Rates (1/s), services and reloads (µs) of 1 to 12 tenants at some utilisation."""

    def draw(rng: np.random.Generator, tenants: int | None = None, load: float | None = None) -> Mix:
        n = int(rng.integers(1, 13)) if tenants is None else tenants
        share = np.maximum(rng.dirichlet(np.full(n, rng.choice([0.5, 1.0, 4.0]))), 1e-3)
        share /= share.sum()
        service = 1000.0 * rng.lognormal(0.0, 1.0, n)
        reload = (service if rng.random() < 0.5 else service.mean()) * rng.uniform(0.0, rng.choice([1.0, 3.0, 10.0]), n)
        rho = float(rng.uniform(0.05, 0.95)) if load is None else load
        return share * rho / np.sum(share * (service + (1 - share) * reload)) * 1e6, service, reload

    return draw
