"""When the world is no longer what is believed, and what is believed then."""

from __future__ import annotations

from ...formulation.tenancy import Allocation, Demands, TenancyProblem
from .estimates import poisson_rate
from .events import Belief, Drift, Estimate, TenantEstimate
from .settings import ControllerSettings

_LEAST_FACTOR = 0.01
"""Least times a stated cost that is believed: where streaming was stated too dear, nothing is left for the service,
and costs of 0 would make no problem (0 times the ∞ of what cannot run)."""


def find_drifts(
    problem: TenancyProblem,
    allocation: Allocation,
    asked: Demands,
    belief: Belief,
    estimates: tuple[TenantEstimate, ...],
    settings: ControllerSettings,
) -> tuple[Drift, ...]:
    """All differences that matter.

    A rate has drifted where the believed one lies outside the interval and the relative change is more than
    `ControllerSettings.rate_change`. A cost has where its whole interval lies further from the believed one than the
    factor `ControllerSettings.cost_change`.

    Parameters
    ----------
    problem : TenancyProblem
        As stated.
    allocation : Allocation
        That served.
    asked : Demands
        Of this allocation under the stated costs.
    belief : Belief
    estimates : tuple of TenantEstimate
    settings : ControllerSettings
    """
    found: list[Drift | None] = []
    for i, seen in enumerate(estimates):
        found.append(_rate_drift(seen, belief.rate_hz[i], settings))
        plain_us = float(problem.tenants[i].accelerator_us[allocation.tenants[i].point])
        streaming_us = float(asked.service_us[i]) - plain_us
        factor = belief.service_factor[i]
        found.append(_cost_drift("service", seen.tenant, seen.service_us, streaming_us, plain_us, factor, settings))
        factor, plain_us = belief.suffix_factor[i], float(asked.cpu_us[i])
        found.append(_cost_drift("suffix", seen.tenant, seen.suffix_us, 0.0, plain_us, factor, settings))
    found.append(_reload_drift(estimates, asked, belief, settings))
    return tuple(drift for drift in found if drift is not None)


def companions(
    belief: Belief, estimates: tuple[TenantEstimate, ...], drifts: tuple[Drift, ...], settings: ControllerSettings
) -> tuple[Drift, ...]:
    """Further rates that have probably changed, besides those that have for certain."""
    certain = {drift.tenant for drift in drifts if drift.quantity == "rate"}
    found = []
    for believed_hz, seen in zip(belief.rate_hz, estimates, strict=True):
        if seen.tenant not in certain:
            narrow = poisson_rate(seen.rate_hz.samples, seen.rate_hz.window_s, settings.companion_confidence)
            found.append(_rate_drift(seen.model_copy(update={"rate_hz": narrow}), believed_hz, settings))
    return tuple(drift for drift in found if drift is not None)


def updated(problem: TenancyProblem, belief: Belief, drifts: tuple[Drift, ...]) -> Belief:
    """Take over what drifted; the rest stays as it was believed, so that noise does not wander in."""
    index = {tenant.name: i for i, tenant in enumerate(problem.tenants)}
    rates, services, suffixes = list(belief.rate_hz), list(belief.service_factor), list(belief.suffix_factor)
    reload = belief.reload_factor
    lists = {"rate": rates, "service": services, "suffix": suffixes}
    for drift in drifts:
        if drift.quantity == "reload":
            reload = drift.seen
        else:
            lists[drift.quantity][index[drift.tenant]] = drift.seen
    return Belief(
        rate_hz=tuple(rates),
        service_factor=tuple(services),
        suffix_factor=tuple(suffixes),
        reload_factor=reload,
    )


def _rate_drift(seen: TenantEstimate, believed_hz: float, settings: ControllerSettings) -> Drift | None:
    rate_hz = max(seen.rate_hz.value, settings.floor_rate_hz)
    outside = not seen.rate_hz.low <= believed_hz <= seen.rate_hz.high
    if not outside or abs(rate_hz - believed_hz) <= settings.rate_change * believed_hz:
        return None
    return Drift(quantity="rate", tenant=seen.tenant, believed=believed_hz, seen=rate_hz)


def _cost_drift(
    quantity: str,
    tenant: str,
    seen: Estimate | None,
    added_us: float,
    stated_us: float,
    factor: float,
    settings: ControllerSettings,
) -> Drift | None:
    if seen is None or stated_us <= 0:
        return None
    low, high = (seen.low - added_us) / stated_us, (seen.high - added_us) / stated_us
    if low <= factor * settings.cost_change and high >= factor / settings.cost_change:
        return None
    value = max(_LEAST_FACTOR, (seen.value - added_us) / stated_us)
    if value == factor:
        return None
    return Drift.model_validate({"quantity": quantity, "tenant": tenant, "believed": factor, "seen": value})


def _reload_drift(
    estimates: tuple[TenantEstimate, ...], asked: Demands, belief: Belief, settings: ControllerSettings
) -> Drift | None:
    """Reloading is the device's: the tenant with the most reloads stands for all."""
    known = [(seen.reload_us.samples, i) for i, seen in enumerate(estimates) if seen.reload_us is not None]
    if not known:
        return None
    i = max(known)[1]
    return _cost_drift(
        "reload", "", estimates[i].reload_us, 0.0, float(asked.reload_us[i]), belief.reload_factor, settings
    )
