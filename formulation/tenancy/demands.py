"""What an allocation makes each tenant ask of accelerator and CPU: the figures that formulas and simulator share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import PlanError, capped
from .allocation import Allocation
from .problem import TenancyProblem


@dataclass(frozen=True, eq=False)
class Demands:
    """One entry a tenant, shape (tenants,).

    Attributes
    ----------
    on_accelerator : ndarray of bool
        Whether its requests visit the accelerator at all.
    residency_set : ndarray of int
        Tenants with the same number do not evict each other; -1 where it does not visit the accelerator. Under token
        residency each has its own; under LRU all have the same, for there room decides.
    resident_bytes : ndarray of int
        Weights that stay in (or, evicted, come back to) the accelerator's memory.
    service_us : ndarray
        Time on the accelerator with these weights resident, streaming of the others included; 0 without a visit.
    reload_us : ndarray
        Time to bring the resident weights in, where they were evicted.
    handover_us : ndarray
        Delay between accelerator and CPU.
    cpu_us : ndarray
        Time of a suffix on its threads; 0 where there is none.
    servers : ndarray of int
        Suffixes of the tenant that run at once; 0 where there is none.
    """

    on_accelerator: NDArray[np.bool_]
    residency_set: NDArray[np.int64]
    resident_bytes: NDArray[np.int64]
    service_us: NDArray[np.float64]
    reload_us: NDArray[np.float64]
    handover_us: NDArray[np.float64]
    cpu_us: NDArray[np.float64]
    servers: NDArray[np.int64]


def service_us(problem: TenancyProblem, tenant: int, point: int, resident_bytes: int) -> float:
    """Time of a prefix on the accelerator where `resident_bytes` of its weights are resident, µs.

    What the tenant could use of the whole memory and does not get is streamed at the rate per byte, on top of what it
    streams where it is alone. ∞ where the device cannot stream.
    """
    model = problem.tenants[tenant]
    usable = int(problem.usable_bytes[tenant][point])
    alone = int(model.weight_bytes[point]) - usable
    missing = max(0, usable - resident_bytes)
    per_byte = problem.streaming_us_per_byte(model)
    table = np.nan if model.streaming_us is None else float(model.streaming_us[point])
    fixed = problem.accelerator.streaming_fixed_us
    if np.isnan(table):
        streamed = max(0, alone) + missing
        if streamed == 0:
            return float(model.accelerator_us[point])
        return np.inf if per_byte is None else float(model.accelerator_us[point]) + fixed + per_byte * streamed
    if missing == 0:
        return float(model.accelerator_us[point]) + table
    if per_byte is None:
        return np.inf
    first = fixed if table == 0 else 0.0
    return float(model.accelerator_us[point]) + table + first + per_byte * missing


def reload_us(problem: TenancyProblem, tenant: int, point: int, resident_bytes: int) -> float:
    """Time to bring in `resident_bytes` of a prefix's weights, µs.

    A measured time is of the bytes that the tenant uses of the whole memory; for fewer it shrinks by the rate a byte.
    """
    model, device = problem.tenants[tenant], problem.accelerator
    usable = int(problem.usable_bytes[tenant][point])
    measured = np.nan if model.reload_us is None else float(model.reload_us[point])
    # Usable bytes of 0 may mean that nobody knows the weights, whose reload was measured all the same.
    if not np.isnan(measured) and (resident_bytes > 0 or usable == 0):
        return max(0.0, measured - device.reload_us_per_byte * (usable - resident_bytes))
    if resident_bytes == 0:
        return 0.0
    return device.reload_fixed_us + device.reload_us_per_byte * resident_bytes


def demands(problem: TenancyProblem, allocation: Allocation) -> Demands:
    """What an allocation makes each tenant ask for.

    Raises
    ------
    PlanError
        The allocation is of other tenants, uses points or cores that are not there, or cannot run.
    """
    names = [tenant.name for tenant in problem.tenants]
    if [part.tenant for part in allocation.tenants] != names:
        _refuse("tenants", capped(names), capped(part.tenant for part in allocation.tenants))
    n = len(names)
    zeros = np.zeros(n)
    cpu, handover, servers = zeros.copy(), zeros.copy(), np.zeros(n, dtype=np.int64)
    point = np.array([part.point for part in allocation.tenants], dtype=np.int64)
    for i, (part, tenant) in enumerate(zip(allocation.tenants, problem.tenants, strict=True)):
        who = f"tenant {part.tenant!r}"
        if part.point >= tenant.n_points or not problem.runnable[i][part.point]:
            usable = np.flatnonzero(problem.runnable[i])
            _refuse(f"{who}, partition point", f"one of {capped(usable)}", f"{part.point}")
        if tenant.cpu_us[part.point] == 0:
            continue
        if part.cores < 1 or part.cores % part.threads or part.threads > len(tenant.speedup):
            expected = f"a core or more for its suffix, in threads (at most {len(tenant.speedup)}) that divide them"
            _refuse(who, expected, f"{part.cores} cores and {part.threads} threads")
        cpu[i] = tenant.cpu_us[part.point] / tenant.speedup[part.threads - 1]
        servers[i] = part.servers
        if part.point > 0:
            device = problem.accelerator
            handover[i] = device.handover_fixed_us + device.handover_us_per_byte * tenant.handover_bytes[part.point]
    taken = sum(part.cores for part in allocation.tenants)
    if taken > problem.cpu_cores:
        _refuse("cores", f"at most {problem.cpu_cores} in all", f"{taken}")
    on_accelerator = point > 0
    sets, shares = _residency(problem, allocation, point, on_accelerator)
    service, reload = zeros.copy(), zeros.copy()
    for i in np.flatnonzero(on_accelerator):
        service[i] = service_us(problem, int(i), int(point[i]), int(shares[i]))
        reload[i] = reload_us(problem, int(i), int(point[i]), int(shares[i]))
        if not np.isfinite(service[i]):
            _refuse(f"tenant {names[i]!r}", "weights that fit beside the others', or a streaming cost", "neither")
    return Demands(on_accelerator, sets, shares, service, reload, handover, cpu, servers)


def _residency(
    problem: TenancyProblem, allocation: Allocation, point: NDArray[np.int64], on_accelerator: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Residency set and resident bytes of each tenant."""
    n = len(point)
    kind = problem.accelerator.residency.kind
    usable = np.array([int(problem.usable_bytes[i][point[i]]) for i in range(n)], dtype=np.int64)
    usable[~on_accelerator] = 0
    if kind != "co_compiled":
        if allocation.co_compiled:
            _refuse("co_compiled", f"no sets, for the accelerator's residency is {kind!r}", "sets")
        own = np.arange(n) if kind == "token" else np.zeros(n, dtype=np.int64)
        return np.where(on_accelerator, own, -1), usable
    names = [tenant.name for tenant in problem.tenants]
    listed = allocation.co_compiled or (tuple(names),)
    flat = [name for members in listed for name in members]
    needed = {names[i] for i in np.flatnonzero(on_accelerator)}
    if len(set(flat)) < len(flat) or not needed <= set(flat) <= set(names):
        _refuse("co_compiled", f"each of {capped(sorted(needed))} in one set", capped(flat))
    sets = np.full(n, -1, dtype=np.int64)
    shares = np.zeros(n, dtype=np.int64)
    for number, members in enumerate(listed):
        room = int(problem.accelerator.weight_capacity_bytes)
        for i in (names.index(name) for name in members):
            if on_accelerator[i]:
                sets[i] = number
                shares[i] = min(int(usable[i]), room)
                room -= int(shares[i])
    return sets, shares


def _refuse(subject: str, expected: str, got: str) -> None:
    raise PlanError(f"allocation: {subject}", expected=expected, got=got, remedy="Allocate again for this scenario.")
