"""Two plans side by side: what one does otherwise, what that changes, and why they may differ."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ..formulation import Plan, PlanError, Problem, capped
from .figures import FIGURES, AssessedPlan, Estimate, Figure, Simulation, difference, subjects
from .given_plans import left_out
from .identity import plan_digest
from .lock import Lock, LockError, shortened
from .plan_changes import Change, plan_changes
from .units import percent

if TYPE_CHECKING:
    from ..solvers import Limit

COMPARED = ("latency_us", "response_us", "p99_us", "miss_ratio", "memory", "objective", "utilisation")
"""Figures that a comparison shows."""

BINDS_FROM = 0.95
"""Share of a limit from which on it is said to bind: less is left than predictions are good for."""

_SAME_LOCKS = "inputs and versions are the same by both locks; a processor of another kind may round otherwise"


@dataclass(frozen=True)
class Effect:
    """One figure of both plans, and how much more it is in the new one."""

    figure: Figure
    subject: str
    old: Estimate
    new: Estimate
    change: Estimate

    @property
    def is_certain(self) -> bool:
        """Whether the interval of the change leaves no doubt that there is one."""
        return self.change.low > 0 or self.change.high < 0


@dataclass(frozen=True)
class Pressure:
    """How much of a limit each plan uses, as a share of it; NaN for a plan that does not fit the scenario."""

    kind: str
    subject: str
    limit: float
    old: float
    new: float


@dataclass(frozen=True)
class Prediction:
    """What a scenario's problem says of both plans.

    Attributes
    ----------
    old, new : AssessedPlan or None
        None for a plan that does not fit the problem.
    old_misfit, new_misfit : str
        Why it does not fit; empty where it does.
    simulation : Simulation
        The same arrivals for both.
    """

    old: AssessedPlan | None
    new: AssessedPlan | None
    old_misfit: str
    new_misfit: str
    simulation: Simulation

    @classmethod
    def of(cls, problem: Problem, old: Plan, new: Plan, simulation: Simulation) -> Prediction:
        """Score both plans and play the same arrivals to them."""
        (before, old_misfit), (after, new_misfit) = (_assessed(problem, plan, simulation) for plan in (old, new))
        return cls(before, after, old_misfit, new_misfit, simulation)

    @cached_property
    def effects(self) -> tuple[Effect, ...]:
        """Figures of both plans side by side; none where one of them does not fit."""
        if self.old is None or self.new is None:
            return ()
        return tuple(
            Effect(
                figure,
                subject,
                self.old.estimate(figure, subject),
                self.new.estimate(figure, subject),
                difference(self.old, self.new, figure, subject),
            )
            for figure in (FIGURES[name] for name in COMPARED)
            for subject in subjects(self.new.problem, figure)
        )

    @property
    def left_out(self) -> tuple[str, ...]:
        """Models of the plans that the scenario does not have: nothing is predicted of them, nor of what they take."""
        fitting = (plan for plan in (self.old, self.new) if plan is not None)
        return tuple(dict.fromkeys(name for plan in fitting for name in left_out(plan.problem, plan.plan)))

    @cached_property
    def pressures(self) -> tuple[Pressure, ...]:
        """Every limit of the scenario with the share of it that each plan uses."""
        from ..solvers import limits_of

        fitting = self.new or self.old
        if fitting is None:
            return ()
        return tuple(
            Pressure(limit.kind, limit.subject, bound, _used(self.old, limit, bound), _used(self.new, limit, bound))
            for limit, bound in limits_of(fitting.problem).items()
        )


@dataclass(frozen=True)
class PlanDiff:
    """Two plans side by side.

    Attributes
    ----------
    old, new : Plan
    changes : tuple of Change
        Empty where both do the same.
    reasons : tuple of str
        Why they may differ, as far as the plans and their locks tell.
    prediction : Prediction or None
        None without a scenario.
    """

    old: Plan
    new: Plan
    changes: tuple[Change, ...]
    reasons: tuple[str, ...]
    prediction: Prediction | None

    @classmethod
    def of(
        cls,
        old: Plan,
        new: Plan,
        prediction: Prediction | None = None,
        locks: tuple[Lock, Lock] | None = None,
    ) -> PlanDiff:
        """Compare two plans; `locks` are those that `edgeplan plan --lock` wrote with them.

        Raises
        ------
        LockError
            A lock is that of another plan.
        """
        changes = plan_changes(old, new)
        return cls(old, new, changes, _reasons(old, new, locks), prediction)

    @property
    def same(self) -> bool:
        """Whether both say to do the same."""
        return not self.changes


def _assessed(problem: Problem, plan: Plan, simulation: Simulation) -> tuple[AssessedPlan | None, str]:
    """A plan under the problem, or why it does not fit: two plans for two profiles can still be told apart."""
    try:
        found = AssessedPlan.of(problem, plan, simulation)
    except PlanError as error:
        return None, str(error)
    return (found, "") if found.evaluation.models else (None, f"{capped(found.evaluation.violations)}.")


def _used(plan: AssessedPlan | None, limit: Limit, bound: float) -> float:
    from ..solvers.limits import value_of

    if plan is None:
        return math.nan
    used = value_of(plan.problem, plan.evaluation, limit)
    return used / bound if bound else math.inf if used else 0.0


def _reasons(old: Plan, new: Plan, locks: tuple[Lock, Lock] | None) -> tuple[str, ...]:
    if locks is not None:
        for plan, lock, which in zip((old, new), locks, ("old", "new"), strict=True):
            _refuse_other_plan(plan, lock, which)
        mismatches = locks[0].inputs.mismatches(locks[1].inputs)
        found = [f"{m.what}: {shortened(m.locked)} → {shortened(m.here)}" for m in mismatches] or [_SAME_LOCKS]
    else:
        found = _inputs_that_differ(old, new)
    return (*found, *_proofs(old, new, locks))


def _refuse_other_plan(plan: Plan, lock: Lock, which: str) -> None:
    if lock.outcome.plan != (digest := plan_digest(plan)):
        raise LockError(
            f"lock of the {which} plan",
            expected=f"one of a plan with digest {shortened(digest)}",
            got=f"one of {shortened(lock.outcome.plan)}",
            remedy="Name the lock that was written with this plan.",
        )


def _inputs_that_differ(old: Plan, new: Plan) -> list[str]:
    """What the plans themselves say of what they were made from."""
    found = []
    if old.platform_fingerprint != new.platform_fingerprint:
        found.append("platform: processor, cores or versions of the machine that the costs were measured on differ")
    sources = [
        {part.model: f"{p.kind}, {p.source}" for part, p in zip(plan.models, plan.provenance, strict=False)}
        for plan in (old, new)
    ]
    for model in sources[0].keys() & sources[1].keys():
        if sources[0][model] != sources[1][model]:
            found.append(f"costs of {model}: {sources[0][model]} → {sources[1][model]}")
    digests = [{part.model: part.sha256 for part in plan.models} for plan in (old, new)]
    for model in digests[0].keys() & digests[1].keys():
        if digests[0][model] != digests[1][model]:
            found.append(f"model {model}: another file")
    gone = {part.sha256: part.model for part in old.models if part.model not in digests[1]}
    for part in new.models:
        if part.model not in digests[0] and part.sha256 in gone:
            found.append(f"model {part.model}: the same file as {gone[part.sha256]}, under another name")
    for what in ("method", "policy", "seed"):
        before, after = (getattr(plan.solver, what) for plan in (old, new))
        if before != after:
            found.append(f"{what}: {_named(before)} → {_named(after)}")
    return sorted(found)


def _named(value: str | int) -> str:
    return "none" if value == "" else str(value)


def _proofs(old: Plan, new: Plan, locks: tuple[Lock, Lock] | None) -> list[str]:
    found = []
    for which, plan, lock in zip(("old", "new"), (old, new), locks or (None, None), strict=True):
        if plan.solver.status != "optimal":
            gap = "nothing is known of its gap" if plan.solver.gap is None else f"gap {percent(plan.solver.gap)}"
            found.append(f"the {which} plan is not proven optimal ({gap}): others may be as good or better")
        if lock is not None and not lock.reproducible:
            found.append(f"the {which} plan cannot be made again for sure: {lock.reason}")
    return found
