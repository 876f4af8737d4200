"""Two tenants of which both parts can be where the other is better, a solver by brute force, and synthetic windows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
from edgeplan.formulation.tenancy import Accelerator, Allocation, TenancyProblem, Tenant, TenantAllocation, demands
from edgeplan.runtime_bridge.tenancy import Answer, Belief, TenantWindow, Window, propose

POINTS = 3


def two_tenants(rate_hz: tuple[float, float] = (20.0, 2.0), cpu_cores: int = 1) -> TenancyProblem:
    """One core for suffixes, which only one tenant can have; whoever is asked more should not be swapped out."""
    device = Accelerator(name="made up", weight_capacity_bytes=1000, reload_fixed_us=12_000.0)
    tenants = [
        Tenant.create("a", [0, 4_000, 6_000], [18_000, 8_000, 0], [0, 400, 1000]),
        Tenant.create("b", [0, 5_000, 7_000], [20_000, 9_000, 0], [0, 500, 1000]),
    ]
    return TenancyProblem.create(tenants, rate_hz, device, cpu_cores)


def predict(problem: TenancyProblem, allocation: Allocation) -> float:
    """Mean response by Pollaczek and Khinchine with independent swaps; good enough to tell allocations apart."""
    asked = demands(problem, allocation)
    rate = problem.rate_hz / 1e6
    share = np.where(asked.on_accelerator, rate, 0.0)
    total = share.sum()
    mean = np.zeros(len(rate))
    if total > 0:
        swap = np.where(asked.on_accelerator, 1 - share / total, 0.0)
        first = share @ (asked.service_us + swap * asked.reload_us)
        second = share @ (swap * (asked.service_us + asked.reload_us) ** 2 + (1 - swap) * asked.service_us**2)
        if first >= 1:
            return np.inf
        wait = second / (2 * (1 - first))
        mean += np.where(asked.on_accelerator, wait + asked.service_us + swap * asked.reload_us, 0.0)
    for i in np.flatnonzero(asked.servers):
        load = rate[i] * asked.cpu_us[i] / asked.servers[i]
        if load >= 1:
            return np.inf
        mean[i] += asked.handover_us[i] + asked.cpu_us[i] * (1 + load / (2 * (1 - load)) / asked.servers[i])
    return float(rate @ mean / rate.sum())


def allocations(problem: TenancyProblem) -> Iterator[Allocation]:
    """Every partition point; the cores go to those who need one, evenly."""
    for points in itertools.product(range(POINTS), repeat=len(problem.tenants)):
        needing = [i for i, p in enumerate(points) if p < POINTS - 1]
        if len(needing) > problem.cpu_cores:
            continue
        yield Allocation(
            tenants=tuple(
                TenantAllocation(tenant=t.name, point=p, cores=int(i in needing))
                for i, (t, p) in enumerate(zip(problem.tenants, points, strict=True))
            )
        )


def brute_force(problem: TenancyProblem) -> SimpleNamespace:
    best = min(allocations(problem), key=lambda a: predict(problem, a))
    return SimpleNamespace(allocation=best, objective=predict(problem, best))


def proposals(problem: TenancyProblem, allocation: Allocation, belief: Belief) -> Answer:
    return propose(problem, allocation, belief, brute_force, predict)


def windows(
    problem: TenancyProblem,
    allocation: Allocation,
    rates: Callable[[float], tuple[float, ...]],
    seconds: float,
    seed: int = 0,
    interval_s: float = 0.5,
    cost: float = 1.0,
) -> Iterator[Window]:
    """Poisson arrivals at `rates` (by seconds since the begin), each served at `cost` times its stated cost."""
    rng = np.random.default_rng(seed)
    asked = demands(problem, allocation)
    for k in range(int(seconds / interval_s)):
        counts = rng.poisson(np.array(rates(k * interval_s)) * interval_s)
        yield Window(
            start_us=k * interval_s * 1e6,
            end_us=(k + 1) * interval_s * 1e6,
            tenants=tuple(
                TenantWindow(
                    arrivals=int(n),
                    service_us=tuple((asked.service_us[i] * cost * rng.normal(1, 0.02, n)).tolist()) if visits else (),
                    suffix_us=tuple((asked.cpu_us[i] * cost * rng.normal(1, 0.02, n)).tolist()) if cores else (),
                )
                for i, (n, visits, cores) in enumerate(zip(counts, asked.on_accelerator, asked.servers, strict=True))
            ),
        )
