"""What a solver hands back. Typed fields only: what is not a field here is not part of an answer."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..formulation import Evaluation, Plan, SolverStamp, Status
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
class Solution:
    """Answer of a solver.

    Attributes
    ----------
    status : {'optimal', 'feasible', 'infeasible', 'timeout'}
        ``feasible``: a plan that keeps every limit, its optimality not proven. ``timeout``: time ran out with no plan.
    method : str
        Name of the solver.
    plan : Plan or None
        For a front, its fastest point.
    evaluation : Evaluation or None
        Of `plan`, by the one evaluator.
    front : tuple of FrontPoint
        By growing latency; empty unless the objective is ``front``. ``optimal`` then means that it is complete.
    objective : float or None
        In the problem's own unit.
    bound : float or None
        No plan has a smaller objective; None where nothing is known.
    clashes : tuple of Clash
        For ``infeasible``: limits that clash.
    seed : int
    runtime_s : float
    """

    status: Status
    method: str
    plan: Plan | None = None
    evaluation: Evaluation | None = None
    front: tuple[FrontPoint, ...] = ()
    objective: float | None = None
    bound: float | None = None
    clashes: tuple[Clash, ...] = ()
    seed: int = 0
    runtime_s: float = 0.0

    @property
    def gap(self) -> float | None:
        """Share of the objective that is not proven necessary, 0 when optimal; None where nothing is known."""
        if self.objective is None or self.bound is None:
            return None
        return max(0.0, self.objective - self.bound) / abs(self.objective) if self.objective else 0.0

    def stamped(self) -> Solution:
        """Copy whose plans carry method, status, objective, bound and gap, so that a saved plan says what it is."""
        stamp = SolverStamp(
            method=self.method,
            status=self.status,
            objective=self.objective,
            bound=self.bound,
            gap=self.gap,
            seed=self.seed,
            runtime_s=self.runtime_s,
        )
        plan = self.plan.model_copy(update={"solver": stamp}) if self.plan is not None else None
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
