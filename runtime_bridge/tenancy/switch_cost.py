"""What an exchange of allocations costs, in microseconds of response time over all requests."""

from __future__ import annotations

from ...formulation.tenancy import Allocation, TenancyProblem, demands
from .beliefs import believed
from .events import Belief, SwitchCost
from .parameter_memory import resident_parts


def sessions_to_open(old: Allocation, new: Allocation) -> int:
    """Sessions that the new allocation needs and the old one has not: a prefix and a suffix for each changed point."""
    opened = 0
    for before, after in zip(old.tenants, new.tenants, strict=True):
        if after.point != before.point:
            opened += int(after.point > 0)
        threads_changed = after.threads > 1 and after != before
        if after.cores and (after.point != before.point or threads_changed):
            opened += after.servers if after.threads > 1 else 1
    return opened


def switch_cost(
    problem: TenancyProblem,
    belief: Belief,
    old: Allocation,
    new: Allocation,
    mean_response_us: float | None,
    opening_us_per_session: float,
    disturbance: float,
) -> SwitchCost:
    """Cost of an exchange.

    The tenants whose part on the accelerator changes are reloaded, together R microseconds: as many for those who ask
    for them, and ½ Λ R² for those who come meanwhile. While sessions are opened, responses grow by `disturbance` of the
    present mean.

    Parameters
    ----------
    problem : TenancyProblem
        As stated.
    belief : Belief
    old, new : Allocation
    mean_response_us : float or None
        Predicted for the old allocation; None where it is unstable: then opening counts nothing, for nothing is lost.
    opening_us_per_session, disturbance : float
        See `ControllerSettings`.
    """
    seen = believed(problem, belief)
    before = set(resident_parts(seen, old, demands(seen, old)))
    asked = demands(seen, new)
    parts = resident_parts(seen, new, asked)
    new_parts = [i for i, part in enumerate(parts) if part is not None and part not in before]
    reload_us = float(asked.reload_us[new_parts].sum())
    rate_per_us = sum(rate for rate, part in zip(belief.rate_hz, parts, strict=True) if part is not None) / 1e6
    opening_us = opening_us_per_session * sessions_to_open(old, new)
    return SwitchCost(
        reload_us=reload_us + rate_per_us * reload_us**2 / 2,
        opening_us=sum(belief.rate_hz) / 1e6 * opening_us * disturbance * (mean_response_us or 0.0),
    )
