"""Scenarios of tenants that share an accelerator, made into problems; what is told of allocations and simulations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..formulation import (
    Accelerator,
    Allocation,
    ScenarioError,
    TenancyProblem,
    Tenant,
    TenantAllocation,
    capped,
)
from ..formulation.tenancy import TenancyScenario
from ..formulation.tenancy.scenario import TenantEntry
from ..formulation.tenancy.simulation import Requests, ResponseSummary, TenancySimulation
from .table import Table
from .units import milliseconds, percent


@dataclass(frozen=True, eq=False)
class TenancyCase:
    """A scenario with its costs resolved.

    Attributes
    ----------
    scenario : TenancyScenario
    tenants : tuple of Tenant
    accelerator : Accelerator
    """

    scenario: TenancyScenario
    tenants: tuple[Tenant, ...]
    accelerator: Accelerator

    @property
    def names(self) -> tuple[str, ...]:
        """Of the tenants."""
        return tuple(tenant.name for tenant in self.tenants)

    def problem(self, rate_hz: NDArray[np.float64] | None = None) -> TenancyProblem:
        """The planning problem at the scenario's rates, or at others.

        Raises
        ------
        ScenarioError
            A tenant has no arrivals.
        """
        if rate_hz is None:
            for entry in self.scenario.tenants:
                if entry.arrival is None:
                    raise ScenarioError(
                        f"tenant {entry.name!r}",
                        expected="arrivals",
                        got="none",
                        remedy="Say when its requests come (`arrival`), or simulate a trace.",
                    )
            rate_hz = np.array([e.arrival.rate_hz for e in self.scenario.tenants if e.arrival is not None])
        return TenancyProblem.create(self.tenants, rate_hz, self.accelerator, self.scenario.cpu_cores)


def load_tenancy(path: str | Path) -> TenancyCase:
    """Read a scenario and take from the catalogue what it names.

    Raises
    ------
    ScenarioError
        The file is not such a scenario, or names something that the catalogue does not have.
    CostError
        Given costs make no sense.
    """
    from ..profiles import catalogue

    scenario = TenancyScenario.load(path)
    device = scenario.accelerator
    accelerator = catalogue.accelerator(device) if isinstance(device, str) else device
    return TenancyCase(scenario, tuple(_tenant(entry) for entry in scenario.tenants), accelerator)


def _tenant(entry: TenantEntry) -> Tenant:
    from ..profiles import catalogue

    costs = entry.whole or entry.points
    tenant = costs.tenant(entry.name) if costs else catalogue.tenant(entry.model or entry.name, name=entry.name)
    changes = {
        key: getattr(entry, key) for key in ("speedup", "accelerator_scv", "cpu_scv") if getattr(entry, key) is not None
    }
    return tenant.replace(**changes) if changes else tenant


def whole_models(problem: TenancyProblem) -> Allocation:
    """Whole models on the accelerator, each at its last partition point.

    Raises
    ------
    ScenarioError
        The accelerator cannot run one of them whole.
    """
    for tenant, runnable, usable in zip(problem.tenants, problem.runnable, problem.usable_bytes, strict=True):
        if not runnable[-1]:
            slow = not np.isfinite(tenant.accelerator_us[-1])
            raise ScenarioError(
                f"tenant {tenant.name!r}",
                expected="a model that the accelerator can run whole",
                got="no time for the whole model"
                if slow
                else f"{int(tenant.weight_bytes[-1])} bytes of weights, of which {int(usable[-1])} fit, "
                "and no streaming cost",
                remedy="Simulate a plan (`--plan`)" + ("." if slow else ", or give the accelerator a streaming cost."),
            )
    return Allocation(tenants=tuple(TenantAllocation(tenant=t.name, point=t.n_points - 1) for t in problem.tenants))


def not_predicted(scenario: TenancyScenario) -> list[str]:
    """What a scenario asks for and the formulas that plans go by do not know; one sentence each."""
    remedy = "`edgeplan simulate --plan` plays it"
    regular = [e.name for e in scenario.tenants if e.arrival is not None and e.arrival.kind != "poisson"]
    batched = [e.name for e in scenario.tenants if e.batching is not None]
    told = []
    if regular:
        told.append(f"Planned as if the requests of {capped(regular)} came at random; {remedy} as stated.")
    if batched:
        told.append(f"Planned without the batching of {capped(batched)}; {remedy}.")
    if scenario.discipline != "fcfs":
        told.append(f"Planned first come first served, not by {scenario.discipline}; {remedy}.")
    return told


def trace_rates(requests: Requests, n_tenants: int) -> NDArray[np.float64]:
    """Mean requests a second of each tenant in a trace; at least one over its length, for rates are positive."""
    span_s = max(float(requests.time_us[-1] - requests.time_us[0]) / 1e6, 1e-6)
    counts = np.bincount(requests.tenant, minlength=n_tenants)
    return np.maximum(counts, 1) / span_s


def _summary_data(summary: ResponseSummary) -> dict[str, Any]:
    return {
        "requests": summary.requests,
        "mean_us": summary.mean_us,
        "p50_us": summary.p50_us,
        "p95_us": summary.p95_us,
        "p99_us": summary.p99_us,
        "swap_fraction": summary.swap_fraction,
        "confidence_interval_us": list(summary.confidence_interval_us),
    }


def utilisation_data(accelerator: str, simulation: TenancySimulation) -> dict[str, float]:
    """Share of time that each processor is occupied: the accelerator by its name, the cores by their tenants'."""
    found = {accelerator: simulation.accelerator_utilisation}
    for pool, share in zip(simulation.pools, simulation.pool_utilisation, strict=True):
        found[f"cpu:{'+'.join(pool.tenants)}"] = share
    return found


def simulation_data(case: TenancyCase, simulation: TenancySimulation) -> dict[str, Any]:
    """A simulation as one JSON object; times in microseconds."""
    return {
        "scenario": case.scenario.name,
        "requests": len(simulation.requests),
        "warm_up_requests": simulation.counted_from,
        "confidence_level": simulation.level,
        "overall": _summary_data(simulation.overall),
        "models": {name: _summary_data(summary) for name, summary in simulation.by_tenant.items()},
        "utilisation": utilisation_data(case.accelerator.name, simulation),
        "reload_utilisation": simulation.reload_utilisation,
    }


def simulation_tables(case: TenancyCase, simulation: TenancySimulation) -> tuple[Table, Table]:
    """Responses by tenant, and utilisation by processor."""
    rows = []
    for name, summary in (*simulation.by_tenant.items(), ("all", simulation.overall)):
        low, high = (milliseconds(us) for us in summary.confidence_interval_us)
        interval = f"{low} to {high}" if np.isfinite(summary.confidence_interval_us[0]) else "–"
        rows.append(
            (
                name,
                f"{summary.requests:,}",
                milliseconds(summary.mean_us),
                interval,
                milliseconds(summary.p50_us),
                milliseconds(summary.p95_us),
                milliseconds(summary.p99_us),
                percent(summary.swap_fraction),
            )
        )
    level = f"{simulation.level:.0%} interval"
    responses = Table(
        f"{case.scenario.name}: simulated responses (ms)",
        ("tenant", ">requests", ">mean", f">{level}", ">p50", ">p95", ">p99", ">swaps"),
        tuple(rows),
        groups=(len(rows) - 1,),
    )
    shares = tuple(
        (name, percent(share)) for name, share in utilisation_data(case.accelerator.name, simulation).items()
    )
    note = f"Reloading takes {percent(simulation.reload_utilisation)} of the accelerator's time."
    return responses, Table("Utilisation", ("processor", ">occupied"), shares, note=note)
