"""The problem as it is believed to be: the stated one with other rates and costs."""

from __future__ import annotations

import numpy as np

from ...formulation.tenancy import TenancyProblem, Tenant
from .events import Belief


def stated(problem: TenancyProblem) -> Belief:
    """What a problem itself states."""
    ones = (1.0,) * len(problem.tenants)
    return Belief(rate_hz=tuple(problem.rate_hz.tolist()), service_factor=ones, suffix_factor=ones)


def believed(problem: TenancyProblem, belief: Belief) -> TenancyProblem:
    """The problem with the rates and costs that are believed."""
    device, factor = problem.accelerator, belief.reload_factor
    tenants = tuple(
        _scaled(tenant, belief.service_factor[i], belief.suffix_factor[i], factor)
        for i, tenant in enumerate(problem.tenants)
    )
    return problem.replace(
        tenants=tenants,
        rate_hz=np.array(belief.rate_hz),
        accelerator=device
        if factor == 1.0
        else device.model_copy(
            update={
                "reload_fixed_us": device.reload_fixed_us * factor,
                "reload_us_per_byte": device.reload_us_per_byte * factor,
            }
        ),
    )


def _scaled(tenant: Tenant, service: float, suffix: float, reload: float) -> Tenant:
    if service == suffix == reload == 1.0:
        return tenant
    return tenant.replace(
        accelerator_us=tenant.accelerator_us * service,
        cpu_us=tenant.cpu_us * suffix,
        reload_us=None if tenant.reload_us is None else tenant.reload_us * reload,
    )
