"""The one evaluator of allocations: mean response of every tenant by queueing formulas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .allocation import Allocation
from .demands import demands
from .problem import TenancyProblem


@dataclass(frozen=True)
class TenantEvaluation:
    """What one tenant's requests meet on average; a request's response is the sum of the times.

    Attributes
    ----------
    tenant : str
    accelerator_wait_us : float
        Until the accelerator takes the request.
    swap_probability : float
        That its weights have to be reloaded first.
    reload_us : float
        Mean time of that: probability times reload time.
    accelerator_us : float
        On the accelerator, streaming included.
    handover_us : float
    cpu_wait_us, cpu_us : float
        Until a server of its own takes the rest, and there.
    cpu_utilisation : float
        Of its servers; 0 without any.
    """

    tenant: str
    accelerator_wait_us: float
    swap_probability: float
    reload_us: float
    accelerator_us: float
    handover_us: float
    cpu_wait_us: float
    cpu_us: float
    cpu_utilisation: float

    @property
    def response_us(self) -> float:
        """Mean response; ∞ where a stage is unstable."""
        return (
            self.accelerator_wait_us
            + self.reload_us
            + self.accelerator_us
            + self.handover_us
            + self.cpu_wait_us
            + self.cpu_us
        )


@dataclass(frozen=True)
class TenancyEvaluation:
    """What an allocation is worth.

    Attributes
    ----------
    tenants : tuple of TenantEvaluation
        In the problem's order.
    mean_response_us : float
        Over all requests; ∞ where unstable. This is the objective.
    accelerator_utilisation : float
        Share of time that the accelerator serves, streams or reloads; 1 or more where unstable.
    reload_utilisation : float
        The part of it that goes to reloading.
    exact_wait : bool
        Whether the accelerator's mean wait is exact, not an approximation.
    unstable : tuple of str
        Stages that cannot keep up, each as "unstable: ρ = …".
    """

    tenants: tuple[TenantEvaluation, ...]
    mean_response_us: float
    accelerator_utilisation: float
    reload_utilisation: float
    exact_wait: bool
    unstable: tuple[str, ...]

    @property
    def stable(self) -> bool:
        """Whether every queue stays finite."""
        return not self.unstable


def evaluate_tenancy(problem: TenancyProblem, allocation: Allocation) -> TenancyEvaluation:
    """Score an allocation.

    The accelerator's mean wait is exact for Poisson arrivals under token residency (M/SM/1) and for one co-compiled set
    (M/G/1), an approximation otherwise. The CPU stage of a tenant behind the accelerator is a two-moment
    approximation (`edgeplan.formulation.queueing.departures`).

    Raises
    ------
    PlanError
        The allocation does not fit the problem; see `demands`.
    """
    from ..queueing.departures import tandem_wait_kernel
    from ..queueing.multi_server import gigc_wait_kernel
    from ..queueing.residency import accelerator_wait

    asked = demands(problem, allocation)
    rate = problem.rate_hz
    stage = accelerator_wait(
        rate,
        asked.service_us,
        asked.reload_us,
        asked.residency_set,
        asked.resident_bytes,
        int(problem.accelerator.weight_capacity_bytes),
        problem.accelerator.residency.kind,
        np.array([tenant.accelerator_scv for tenant in problem.tenants]),
    )
    unstable = []
    if stage.utilisation >= 1.0:
        unstable.append(f"unstable: ρ = {stage.utilisation:.3g} on accelerator {problem.accelerator.name!r}")
    parts = []
    for i, tenant in enumerate(problem.tenants):
        on = bool(asked.on_accelerator[i])
        servers = int(asked.servers[i])
        busy = rate[i] * asked.cpu_us[i] / 1e6 / servers if servers else 0.0
        if busy >= 1.0:
            unstable.append(f"unstable: ρ = {busy:.3g} on the CPU cores of tenant {tenant.name!r}")
        cpu_wait = 0.0
        if servers:
            own = (asked.cpu_us[i], tenant.cpu_scv, servers)
            if on and not unstable:
                first = (stage.departure_scv(i), asked.service_us[i], tenant.accelerator_scv)
                cpu_wait = float(tandem_wait_kernel(rate[i] / 1e6, *first, *own))
            else:
                cpu_wait = float(gigc_wait_kernel(rate[i] / 1e6, 1.0, *own))
        parts.append(
            TenantEvaluation(
                tenant.name,
                stage.wait_us if on else 0.0,
                float(stage.swap_probability[i]),
                float(stage.swap_probability[i] * asked.reload_us[i]),
                float(asked.service_us[i]),
                float(asked.handover_us[i]),
                cpu_wait,
                float(asked.cpu_us[i]),
                float(busy),
            )
        )
    mean = float(sum(r * part.response_us for r, part in zip(rate, parts, strict=True)) / rate.sum())
    return TenancyEvaluation(
        tuple(parts),
        np.inf if unstable else mean,
        float(stage.utilisation),
        float(np.sum(rate * stage.swap_probability * asked.reload_us) / 1e6),
        stage.exact,
        tuple(unstable),
    )
