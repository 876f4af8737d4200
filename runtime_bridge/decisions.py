"""What a controller decided and why, and where plans are written down as they come and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ..formulation import Plan
from ..solvers import Judgement
from .drift import Drift
from .history import PlanHistory

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


class WrittenPlans:
    """The plans that serve and served, by their numbers in a log; without a log nothing is written.

    Parameters
    ----------
    log : PlanLog or None
    history : PlanHistory
        Of the runtime: what it has forgotten is forgotten here.
    """

    def __init__(self, log: PlanLog | None, history: PlanHistory) -> None:
        self._log = log
        self._history = history
        self._numbers: dict[int, int] = {}  # by version
        self._unproved: int | None = None

    def begin(self, plan: Plan, origin: Origin, reason: str, setup: Any) -> int:
        """See `PlanLog`."""
        return self._log.begin(plan, origin, reason, setup) if self._log else -1

    def failed(self, number: int, reason: str) -> None:
        """The plan could not be opened, or did not prove itself."""
        if self._log:
            self._log.mark(number, "failed", reason)

    def serves(self, number: int, version: int, *, proved: bool | None = None) -> None:
        """The plan serves under that version.

        One that is `proved` is to be there after a restart: somebody wants it. One that is not waits for `proved`.
        """
        if not self._log:
            return
        kept = {known: each for known, each in self._numbers.items() if self._history.get(known)}
        self._numbers = {**kept, version: number}
        if proved:
            self._log.mark(number, "good")
        elif proved is not None:
            self._unproved = number

    def proved(self) -> None:
        """What serves has proved itself."""
        if self._log and self._unproved is not None:
            number, self._unproved = self._unproved, None
            self._log.mark(number, "good")

    def gone_back_from(self, version: int, reason: str) -> None:
        """Another plan serves in place of that version's."""
        if self._log and version in self._numbers:
            self._unproved = None
            self._log.mark(self._numbers[version], "rolled_back", reason)
