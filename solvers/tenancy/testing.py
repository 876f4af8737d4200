"""Random problems for tests and benchmarks."""

from __future__ import annotations

import numpy as np
from pydantic import ByteSize

from ...formulation import Accelerator, Residency, TenancyProblem, Tenant, TokenResidency

MIB = 2**20


def random_tenancy(
    n_tenants: int, n_points: int, cpu_cores: int, load: float, seed: int, residency: Residency | None = None
) -> TenancyProblem:
    """Tenants of 2 to 30 MB on a device with the Edge TPU's published reload and streaming costs.

    Parameters
    ----------
    n_tenants, n_points, cpu_cores : int
    load : float
        Utilisation of the accelerator where it runs all models whole and reloads for every request.
    seed : int
    residency : Residency, optional
        Token where left out.
    """
    rng = np.random.default_rng(seed)
    tenants = []
    for i in range(n_tenants):
        parts = n_points - 1
        weights = np.concatenate([[0], np.cumsum(rng.dirichlet(np.ones(parts)))]) * rng.uniform(2e6, 30e6)
        work = np.concatenate([[0], np.cumsum(rng.dirichlet(np.full(parts, 2.0)))])
        whole_us = rng.uniform(4e3, 4e4)
        cpu_us = rng.uniform(8, 30) * whole_us * (1 - work)
        cpu_us[-1] = 0.0
        tenants.append(
            Tenant.create(
                f"tenant{i}",
                whole_us * work,
                cpu_us,
                weights.astype(np.int64),
                rng.uniform(1e4, 5e5, n_points).astype(np.int64),
                speedup=(1.0, 1.8, 2.4, 3.0),
                cpu_scv=float(rng.choice([0.0, 0.1])),
            )
        )
    device = Accelerator(
        name="npu",
        weight_capacity_bytes=ByteSize(7_000_000),
        residency=residency or TokenResidency(),
        reload_fixed_us=1950,
        reload_us_per_byte=2300 / MIB,
        streaming_fixed_us=484,
        streaming_us_per_byte=2709 / MIB,
        handover_us_per_byte=1 / 400,
    )
    rates = rng.dirichlet(np.full(n_tenants, 2.0))
    problem = TenancyProblem.create(tenants, rates, device, cpu_cores)
    from .tables import tables_of

    tables = tables_of(problem)
    return problem.replace(rate_hz=rates * load * 1e6 / float(rates @ (tables.service_us + tables.reload_us)[:, -1]))
