"""What a solver can do, as data, and what a problem needs."""

from __future__ import annotations

from dataclasses import dataclass

from ..formulation import Objective, Problem
from .chain import not_serial
from .plan_count import plan_count


@dataclass(frozen=True)
class Features:
    """What a solver supports.

    Attributes
    ----------
    objectives : frozenset of {'latency', 'response', 'front'}
    exact : bool
        Whether it proves optimality and infeasibility, given time.
    several_models : bool
    several_memories : bool
        Whether segments may work in different memories, with transfers over links.
    overlapping_segments : bool
        Whether it takes models whose segments need not run one after the other (see `chain.not_serial`).
    max_plans : int or None
        Largest number of conceivable plans it takes, where it looks at each.
    """

    objectives: frozenset[Objective]
    exact: bool
    several_models: bool
    several_memories: bool
    overlapping_segments: bool
    max_plans: int | None = None

    def unsupported(self, problem: Problem) -> str | None:
        """What a problem needs that the solver lacks, as a phrase, or None where the two fit."""
        if problem.objective not in self.objectives:
            return f"objective {problem.objective!r}"
        if len(problem.models) > 1 and not self.several_models:
            return f"{len(problem.models)} models together"
        memories = {processor.memory for processor in problem.platform.processors}
        if len(memories) > 1 and not self.several_memories:
            return f"{len(memories)} memories"
        if not self.overlapping_segments:
            for model in problem.models:
                reason = not_serial(problem, model)
                if reason is not None:
                    return f"model {model.name!r}, whose segments need not run one after the other ({reason})"
        if self.max_plans is not None:
            count = plan_count(problem)
            if count > self.max_plans:
                return f"{count:.3g} conceivable plans, where {self.max_plans} is the most"
        return None
