"""Predicted percentiles of every tenant's response under an allocation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .allocation import Allocation
from .demands import demands
from .evaluate import evaluate_tenancy
from .problem import TenancyProblem


def response_percentiles_us(problem: TenancyProblem, allocation: Allocation, level: float) -> NDArray[np.float64]:
    """The response that a share `level` of each tenant's requests has at most, microseconds, shape (tenants,).

    Under token residency the accelerator's part has its exact distribution, by inversion of its transform; the wait for
    a core is taken as 0 where a server is free and exponential otherwise, independent of it. Under other policies the
    accelerator's wait is taken likewise. Errors against simulation: ``docs/results/queueing_formulas.md``.

    Parameters
    ----------
    problem : TenancyProblem
    allocation : Allocation
    level : float
        In (0, 1).

    Returns
    -------
    ndarray
        All ∞ where a stage is unstable.

    Raises
    ------
    PlanError
        The allocation does not fit the problem.
    WorkloadError
        The level is not in (0, 1).
    """
    from ..queueing.multi_server import mmc_wait_kernel
    from ..queueing.percentiles import CpuStage, SwappingServer, estimated_percentile_us

    asked = demands(problem, allocation)
    evaluation = evaluate_tenancy(problem, allocation)
    found = np.full(len(problem.tenants), np.inf)
    if not evaluation.stable:
        return found
    on = np.flatnonzero(asked.on_accelerator)
    scv = np.array([tenant.accelerator_scv for tenant in problem.tenants])
    server = None
    if problem.accelerator.residency.kind == "token" and len(on):
        server = SwappingServer(problem.rate_hz[on], asked.service_us[on], asked.reload_us[on], scv[on])
    for i, part in enumerate(evaluation.tenants):
        cpu = None
        if asked.servers[i]:
            rate, service, servers = problem.rate_hz[i] / 1e6, float(asked.cpu_us[i]), int(asked.servers[i])
            # Erlang's probability of waiting, from the mean wait of M/M/c.
            idle_servers = servers - rate * service
            waiting = min(1.0, mmc_wait_kernel(rate, service, servers) * idle_servers / service)
            waiting = waiting if part.cpu_wait_us > 0 else 0.0
            cpu = CpuStage(part.cpu_wait_us, waiting, service, problem.tenants[i].cpu_scv, part.handover_us)
        if server is not None and asked.on_accelerator[i]:
            found[i] = server.response_percentile_us(int(np.searchsorted(on, i)), level, cpu)
        else:
            found[i] = estimated_percentile_us(
                level,
                part.accelerator_wait_us,
                evaluation.accelerator_utilisation if asked.on_accelerator[i] else 0.0,
                part.accelerator_us,
                part.swap_probability,
                float(asked.reload_us[i]),
                cpu,
            )
    return found
