"""The joint policy: points of all models chosen together, again as the device changes, switching only where it pays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ...formulation.operating_points import (
    Loaded,
    OperatingPointProblem,
    PointsEvaluation,
    SharedProcessor,
    Sight,
    evaluate_points,
)
from ...solvers.operating_points.baselines import smallest
from ...solvers.operating_points.greedy import greedy_choice
from ..drift import Drift, Hysteresis
from .beliefs import Beliefs
from .decisions import DecisionJournal, PointsDecision
from .settings import JointSettings

_LOWER = 0.85
"""Where the device cannot serve all that is asked, rates are scaled down by this until it can: what is left is the
choice that serves most."""
_LEAST = 1e-3


class JointPolicy:
    """Chooses a point for every model together; clock-free, for the simulator and for a live controller alike.

    Every look takes in what was seen (`Beliefs`), solves the problem as it now looks within milliseconds, and switches
    where the gain, costs of switching counted, reaches `JointSettings.min_gain` for some looks in a row (`Hysteresis`).
    Where memory has become too short for what is loaded it switches at once.

    Parameters
    ----------
    processors : sequence of SharedProcessor
    settings : JointSettings, optional
    journal : DecisionJournal, optional
    """

    name = "joint"

    def __init__(
        self,
        processors: Sequence[SharedProcessor],
        settings: JointSettings | None = None,
        journal: DecisionJournal | None = None,
    ) -> None:
        self.settings = settings or JointSettings()
        self.journal = journal or DecisionJournal()
        self.beliefs = Beliefs(processors, self.settings)
        self._hysteresis = Hysteresis(self.settings.persistence, self.settings.rest_us)
        self._choice: dict[str, int] = {}
        self._busy_until_us = -math.inf
        self._cause = "gain"

    def start(self, sight: Sight) -> Loaded:
        """The best points for the stated rates, or, where a runtime serves already, those that it has."""
        self.beliefs.begin(sight)
        if all(len(points) == 1 for points in sight.loaded.values()) and sight.loaded.keys() == sight.models.keys():
            self._choice = {name: sight.loaded[name][0] for name in sight.models}
            limits = self.beliefs.memory_limits(sight, self._choice)
            problem = self.beliefs.problem(sight, self._choice, limits)
            self.beliefs.predict(evaluate_points(problem, tuple(self._choice.values())))
            return {}
        limits = self.beliefs.memory_limits(sight, {})
        choice, problem = self._best(sight, None, limits)
        self._choice = dict(zip(sight.models, choice, strict=True))
        evaluation = evaluate_points(problem, choice)
        self.beliefs.predict(evaluation)
        self._note(sight, "switch", "start", evaluation, None, "Best points for the stated rates.")
        return {name: (j,) for name, j in self._choice.items()}

    def route(self, model: str, sight: Sight) -> int:
        """The only one."""
        return sight.loaded[model][0]

    def served(self, model: str, point: int, execution_us: float, sight: Sight) -> Loaded:
        """Hold the inference against its prediction."""
        if point == self._choice[model]:
            self.beliefs.served(model, execution_us)
        return {}

    def look(self, sight: Sight) -> Loaded:
        """Decide again."""
        if sight.at_us < self._busy_until_us:
            return {}
        self._cause = self.beliefs.look(sight, self._choice) or self._cause
        limits = self.beliefs.memory_limits(sight, self._choice)
        short = any(left < 0 for left in sight.memory_bytes.values())
        choice, problem = self._best(sight, self._choice, limits)
        before = tuple(self._choice.values())
        now = evaluate_points(problem, before)
        self.beliefs.predict(now)
        if choice == before:
            self._hysteresis.admit((), sight.at_us)
            self._cause = "gain"
            return {}
        new = evaluate_points(problem, choice)
        gain = self._gain(now, new)
        if short:
            return self._switch(sight, choice, new, now, "memory", "More is loaded than memory is available.")
        if gain < self.settings.min_gain:
            self._hysteresis.admit((), sight.at_us)
            return {}
        lasting = self._hysteresis.admit((Drift("points", "all models", now.objective, new.objective),), sight.at_us)
        if not lasting:
            return {}
        shown = f"a gain of {gain:.0%}" if math.isfinite(gain) else "the present points cannot keep up"
        return self._switch(sight, choice, new, now, self._cause, f"{self._believed()}: {shown}, switching counted.")

    def _gain(self, now: PointsEvaluation, new: PointsEvaluation) -> float:
        """Relative gain; ∞ from what breaks a limit, and none to it."""
        if not math.isfinite(new.objective):
            return 0.0
        return 1 - new.objective / now.objective if math.isfinite(now.objective) and now.objective > 0 else math.inf

    def _best(
        self, sight: Sight, choice: Mapping[str, int] | None, limits: Mapping[str, float]
    ) -> tuple[tuple[int, ...], OperatingPointProblem]:
        """The best choice, and the problem it was found for: at lower rates where the device cannot serve them all."""
        factor = 1.0
        while factor > _LEAST:
            problem = self.beliefs.problem(sight, choice, limits, factor)
            found = greedy_choice(problem)
            if found is not None:
                return found, problem
            factor *= _LOWER
        problem = self.beliefs.problem(sight, choice, limits)
        return tuple(smallest(model.points) for model in problem.models), problem

    def _switch(
        self,
        sight: Sight,
        choice: tuple[int, ...],
        new: PointsEvaluation,
        now: PointsEvaluation,
        cause: str,
        reason: str,
    ) -> Loaded:
        changed = {n: j for n, j in zip(sight.models, choice, strict=True) if j != self._choice[n]}
        for name in changed:
            self.beliefs.forget(name)
        self._choice |= changed
        self._busy_until_us = sight.at_us + max(model.switch_us for model in new.models)
        self._hysteresis.decided(self._busy_until_us)
        self._note(sight, "switch", cause, new, now, reason)
        self._cause = "gain"
        return {name: (j,) for name, j in changed.items()}

    def _believed(self) -> str:
        slow = [
            f"{name} takes {factor:.2g} times as long" for name, factor in self.beliefs.slowdown.items() if factor > 1
        ]
        foreign = [f"others run {n:.2g} threads on {name}" for name, n in self.beliefs.foreign.items() if n > 0]
        return "; ".join(slow + foreign) or "Nothing is slowed"

    def _note(
        self,
        sight: Sight,
        action: str,
        cause: str,
        new: PointsEvaluation,
        now: PointsEvaluation | None,
        reason: str,
    ) -> None:
        before = None if now is None or not math.isfinite(now.objective) else now.objective
        after = new.objective if math.isfinite(new.objective) else None
        self.journal.note(
            PointsDecision.model_validate(
                {
                    "at_us": sight.at_us,
                    "action": action,
                    "cause": cause,
                    "points": {model.model: model.point for model in new.models},
                    "predicted": after,
                    "predicted_before": before,
                    "gain": None if not before or after is None else 1 - after / before,
                    "switch_us": max(model.switch_us for model in new.models),
                    "reason": reason,
                }
            )
        )
