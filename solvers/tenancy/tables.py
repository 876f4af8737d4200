"""A tenancy problem as arrays: what compiled search loops read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...formulation import Allocation, TenancyProblem, TenantAllocation
from ...formulation.tenancy import reload_us, service_us

TOKEN, CO_COMPILED, LRU = range(3)
"""Residency policies as compiled code knows them."""
_KINDS = {"token": TOKEN, "co_compiled": CO_COMPILED, "lru": LRU}


class Tables(NamedTuple):
    """Costs of every tenant i at every partition point k, each with the whole memory to itself.

    Points are padded to the longest tenant with ones that cannot run. A named tuple, for compiled code takes it whole.

    Attributes
    ----------
    kind : int
        Residency policy.
    runs : ndarray of bool, shape (n, K)
    service_us, reload_us, handover_us, cpu_us : ndarray, shape (n, K)
        ∞ where the point cannot run.
    speedup : ndarray, shape (n, T)
        Of thread counts 1, 2, …; 0 where a tenant has no such count.
    accelerator_scv, cpu_scv : ndarray, shape (n,)
    usable_bytes : ndarray, shape (n, K)
    streaming_us_per_byte : ndarray, shape (n,)
        For bytes that others take; ∞ where the device cannot stream.
    streaming_first_us : ndarray, shape (n, K)
        What the first such byte costs in addition.
    capacity_bytes : float
    cores : int
    """

    kind: int
    runs: NDArray[np.bool_]
    service_us: NDArray[np.float64]
    reload_us: NDArray[np.float64]
    handover_us: NDArray[np.float64]
    cpu_us: NDArray[np.float64]
    speedup: NDArray[np.float64]
    accelerator_scv: NDArray[np.float64]
    cpu_scv: NDArray[np.float64]
    usable_bytes: NDArray[np.float64]
    streaming_us_per_byte: NDArray[np.float64]
    streaming_first_us: NDArray[np.float64]
    capacity_bytes: float
    cores: int


def tables_of(problem: TenancyProblem) -> Tables:
    """Tables of a problem; rates are not part of them."""
    n, longest = len(problem.tenants), max(t.n_points for t in problem.tenants)
    widest = max(1, min(problem.cpu_cores, max(len(t.speedup) for t in problem.tenants)))
    runs = np.zeros((n, longest), dtype=np.bool_)
    service, reload, handover, cpu = (np.full((n, longest), np.inf) for _ in range(4))
    usable, first, per_byte = np.zeros((n, longest)), np.zeros((n, longest)), np.full(n, np.inf)
    speedup = np.zeros((n, widest))
    device = problem.accelerator
    for i, tenant in enumerate(problem.tenants):
        count = tenant.n_points
        runs[i, :count] = problem.runnable[i]
        cpu[i, :count] = tenant.cpu_us
        split = (tenant.cpu_us > 0) & (np.arange(count) > 0)
        handover[i, :count] = split * (device.handover_fixed_us + device.handover_us_per_byte * tenant.handover_bytes)
        service[i, 0] = reload[i, 0] = 0.0
        usable[i, :count] = problem.usable_bytes[i]
        rate = problem.streaming_us_per_byte(tenant)
        per_byte[i] = np.inf if rate is None else rate
        for k in np.flatnonzero(problem.runnable[i][1:]) + 1:
            own = int(problem.usable_bytes[i][k])
            service[i, k] = service_us(problem, i, int(k), own)
            reload[i, k] = reload_us(problem, i, int(k), own)
            if rate is not None and own > 0:
                first[i, k] = service_us(problem, i, int(k), own - 1) - service[i, k] - rate
        speedup[i, : len(tenant.speedup)] = tenant.speedup[:widest]
    return Tables(
        _KINDS[device.residency.kind],
        runs,
        service,
        reload,
        handover,
        cpu,
        speedup,
        np.array([t.accelerator_scv for t in problem.tenants]),
        np.array([t.cpu_scv for t in problem.tenants]),
        usable,
        per_byte,
        first,
        float(int(device.weight_capacity_bytes)),
        problem.cpu_cores,
    )


def allocation_of(
    problem: TenancyProblem,
    point: NDArray[np.int64],
    cores: NDArray[np.int64],
    threads: NDArray[np.int64],
    order: NDArray[np.int64],
) -> Allocation:
    """Allocation from arrays of shape (n,); `order` is the one in which co-compiled tenants are given the memory."""
    parts = []
    for i, tenant in enumerate(problem.tenants):
        suffix = bool(tenant.cpu_us[point[i]] > 0)
        parts.append(
            TenantAllocation(
                tenant=tenant.name,
                point=int(point[i]),
                cores=int(cores[i]) if suffix else 0,
                threads=int(threads[i]) if suffix else 1,
            )
        )
    sets: tuple[tuple[str, ...], ...] = ()
    if problem.accelerator.residency.kind == "co_compiled" and np.any(point > 0):
        sets = (tuple(problem.tenants[i].name for i in order if point[i] > 0),)
    return Allocation(tenants=tuple(parts), co_compiled=sets)
