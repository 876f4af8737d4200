"""What a controller decided and why, and where plans are written down as they come and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ..formulation import Plan
from ..solvers import Judgement
from .drift import Drift

Origin = Literal["start", "drift", "request", "change", "fault", "trial", "rollback"]
"""What made for a decision: the first plan, a drift, somebody who asked for a re-solve, a scenario that changed, a
fault, a new plan that did worse than the one before, somebody who asked for an earlier plan."""


@dataclass(frozen=True)
class Decision:
    """One decision and its reason.

    Attributes
    ----------
    at_us : float
        On the runtime's clock, when it was begun.
    drifts : tuple of Drift
    action : {'switched', 'kept', 'failed', 'cancelled'}
    reason : str
    plan_version : int
        That serves afterwards.
    solve_s, swap_s : float
        Time to solve, and to exchange the plans.
    origin : str
    expected, before : Judgement or None
        How the new plan and the one before it fare against simulated arrivals, where that was looked at.
    """

    at_us: float
    drifts: tuple[Drift, ...]
    action: str
    reason: str
    plan_version: int
    solve_s: float
    swap_s: float
    origin: Origin = "drift"
    expected: Judgement | None = None
    before: Judgement | None = None


class PlanLog(Protocol):
    """Where plans are written down before and after their sessions are opened."""

    def begin(self, plan: Plan, origin: Origin, reason: str, setup: Any) -> int:
        """A plan is about to be opened; `setup` is what came with the change of a scenario. Returns its number."""
        ...

    def mark(self, number: int, status: Literal["good", "failed", "rolled_back"], reason: str = "") -> None:
        """What became of it."""
        ...
