"""Discrete-event simulation of an allocation: every request played through the accelerator and the CPU's cores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ...errors import PlanError, WorkloadError, capped
from ..allocation import Allocation
from ..batching import Batching
from ..demands import Demands, demands
from ..problem import TenancyProblem
from . import residency
from .kernels import by_priority_and_batch, core_pool, first_come_first_served
from .requests import Requests
from .results import Pool, TenancySimulation


def simulate_tenancy(
    problem: TenancyProblem,
    allocation: Allocation,
    requests: Requests,
    *,
    seed: int = 0,
    warm_up: float = 0.0,
    level: float = 0.95,
    discipline: Literal["fcfs", "priority"] = "fcfs",
    priority: Sequence[int] | None = None,
    batching: Sequence[Batching | None] | None = None,
    pools: Sequence[Pool] | None = None,
) -> TenancySimulation:
    """Play requests through an allocation, each to its end. Deterministic for a seed.

    Parameters
    ----------
    problem : TenancyProblem
        Its rates are not used; requests come as given.
    allocation : Allocation
    requests : Requests
    seed : int
        Of service times that vary (gamma distributed with the tenant's squared coefficient of variation).
    warm_up : float
        Share of the requests, in [0, 1), that the summaries leave out at the front.
    level : float
        Of the confidence intervals.
    discipline : {'fcfs', 'priority'}
        Of the accelerator's queue. Priorities never interrupt a service.
    priority : sequence of int, optional
        By tenant; the lowest number is the most urgent.
    batching : sequence of Batching or None, optional
        By tenant.
    pools : sequence of Pool, optional
        Cores that tenants share, instead of each tenant's own by the allocation. Together they name every tenant with a
        suffix, and none twice.

    Raises
    ------
    PlanError
        The allocation does not fit the problem, or the pools not the allocation.
    WorkloadError
        No requests, or settings that make no sense.
    """
    asked = demands(problem, allocation)
    names = tuple(tenant.name for tenant in problem.tenants)
    n = len(names)
    if not len(requests) or requests.tenant.min() < 0 or requests.tenant.max() >= n:
        raise WorkloadError(
            "requests",
            expected=f"at least one, of tenants 0 to {n - 1}",
            got=f"{len(requests)}",
            remedy="Ask something.",
        )
    if not 0 <= warm_up < 1:
        raise WorkloadError("warm-up", expected="a share in [0, 1)", got=f"{warm_up}", remedy="Leave out less.")
    if not 0 < level < 1:
        raise WorkloadError("level", expected="a share in (0, 1)", got=f"{level}", remedy="0.95 is usual.")
    start, ready, end = (np.empty(len(requests)) for _ in range(3))
    policy = residency.LRU if problem.accelerator.residency.kind == "lru" else residency.SETS
    common = (
        requests.time_us,
        requests.tenant,
        asked.on_accelerator,
        asked.service_us,
        asked.reload_us,
        np.array([tenant.accelerator_scv for tenant in problem.tenants]),
        policy,
        asked.residency_set,
        asked.resident_bytes,
        int(problem.accelerator.weight_capacity_bytes),
        _draws(seed, 0),
    )
    gathered = [b or Batching() for b in (batching or [None] * n)]
    urgency = list(priority) if priority is not None and discipline == "priority" else [0] * n
    if len(gathered) != n or len(urgency) != n:
        raise WorkloadError(
            "priorities and batching",
            expected=f"one for each of {n} tenants",
            got=f"{len(urgency)} and {len(gathered)}",
            remedy="Give each tenant one.",
        )
    if len(set(urgency)) == 1 and all(b.max_batch == 1 for b in gathered):
        first_come_first_served(*common, start, ready, end)
    else:
        by_priority_and_batch(
            *common,
            np.array(urgency, dtype=np.int64),
            np.array([b.max_batch for b in gathered], dtype=np.int64),
            # A batch of one is never waited for.
            np.array([b.window_us if b.max_batch > 1 else 0.0 for b in gathered]),
            np.array([b.marginal for b in gathered]),
            start,
            ready,
            end,
        )
    shared = _own_pools(names, asked) if pools is None else tuple(pools)
    _check_pools(shared, names, asked)
    cpu_start, finish = end.copy(), end.copy()
    arrival = end + asked.handover_us[requests.tenant]
    scv = np.array([tenant.cpu_scv for tenant in problem.tenants])
    for number, pool in enumerate(shared):
        members = np.isin(requests.tenant, [names.index(name) for name in pool.tenants])
        mine = np.flatnonzero(members)
        # Hand-overs differ by tenant and batches end together: order by arrival here, then by arrival at the device.
        mine = mine[np.argsort(arrival[mine], kind="stable")]
        core_pool(
            mine,
            arrival,
            requests.tenant,
            asked.cpu_us,
            scv,
            pool.servers,
            _draws(seed, 1 + number),
            cpu_start,
            finish,
        )
    swapped = asked.on_accelerator[requests.tenant] & (ready > start)
    return TenancySimulation(
        names,
        requests,
        start,
        ready,
        end,
        cpu_start,
        finish,
        swapped,
        int(warm_up * len(requests)),
        level,
        shared,
        asked.on_accelerator,
    )


def _draws(seed: int, stage: int) -> np.random.Generator:
    """Service times of a stage: of nothing that `Requests` draws from the same seed, nor of another stage.

    NumPy takes ``[seed, 0]`` for ``seed`` (it pads with zeros), so that services drawn from lists would be the very
    numbers of the times between arrivals; a spawn key is kept apart.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stage,)))


def _own_pools(names: tuple[str, ...], asked: Demands) -> tuple[Pool, ...]:
    return tuple(Pool((name,), int(s)) for name, s in zip(names, asked.servers, strict=True) if s > 0)


def _check_pools(pools: tuple[Pool, ...], names: tuple[str, ...], asked: Demands) -> None:
    listed = [name for pool in pools for name in pool.tenants]
    needed = {name for name, servers in zip(names, asked.servers, strict=True) if servers > 0}
    if set(listed) != needed or len(listed) != len(needed) or any(pool.servers < 1 for pool in pools):
        raise PlanError(
            "core pools",
            expected=f"each of {capped(sorted(needed)) or 'no tenant'} in one pool of one server or more",
            got=capped(f"{pool.servers} for {', '.join(pool.tenants)}" for pool in pools) or "none",
            remedy="Correct the pools, or leave them to the allocation.",
        )
