"""What a solver of planning problems hands back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from ..formulation import Evaluation, Plan, SolverStamp
from .answer import Answer
from .limits import Limit


@dataclass(frozen=True)
class FrontPoint:
    """One point of a latency/memory front: no plan found is at least as good in both and better in one.

    Attributes
    ----------
    latency_us : float
        Of one request on an idle device.
    memory_bytes : float
        Peak use, summed over the memories.
    plan : Plan
    """

    latency_us: float
    memory_bytes: float
    plan: Plan


@runtime_checkable
class StampsItself(Protocol):
    """A front in arrays, which stamps its plans as it makes them."""

    def stamped(self, stamp: SolverStamp, /) -> Sequence[FrontPoint]:
        """Copy whose plans carry the stamp."""
        ...


@dataclass(frozen=True)
class Clash:
    """One limit of a set that cannot hold together; without any one of the set, the others can.

    Attributes
    ----------
    limit : Limit
        Which one.
    bound : float
        Its value: microseconds, bytes, or a share of a core's time.
    best_achievable : float or None
        Smallest value that a plan reaches while it keeps the other limits of the set; None where time ran out.
    sentence : str
        For people.
    """

    limit: Limit
    bound: float
    best_achievable: float | None
    sentence: str


@dataclass(frozen=True)
class Solution(Answer):
    """Answer to a planning problem.

    Attributes
    ----------
    plan : Plan or None
        For a front, its fastest point.
    evaluation : Evaluation or None
        Of `plan`, by the one evaluator.
    front : sequence of FrontPoint
        By growing latency; empty unless the objective is ``front``. ``optimal`` then means that it is complete.
    clashes : tuple of Clash
        For ``infeasible``: limits that clash.
    """

    plan: Plan | None = None
    evaluation: Evaluation | None = None
    front: Sequence[FrontPoint] = ()
    clashes: tuple[Clash, ...] = ()

    def stamped(self) -> Solution:
        """Copy whose plans carry method, status, objective, bound and gap, so that a saved plan says what it is."""
        stamp = self.stamp
        plan = self.plan.model_copy(update={"solver": stamp}) if self.plan is not None else None
        if isinstance(self.front, StampsItself):
            return replace(self, plan=plan, front=self.front.stamped(stamp))
        # A point of the front minimises no single objective, so its stamp states no bound but its own latency.
        front = tuple(
            replace(
                point,
                plan=point.plan.model_copy(
                    update={
                        "solver": stamp.model_copy(update={"objective": point.latency_us, "bound": None, "gap": None})
                    }
                ),
            )
            for point in self.front
        )
        return replace(self, plan=plan, front=front)
