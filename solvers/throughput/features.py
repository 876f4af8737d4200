"""What a solver of throughput problems can do, as data."""

from __future__ import annotations

from dataclasses import dataclass

from ...formulation.throughput import ThroughputObjective, ThroughputProblem
from .offer import Offer

ALL: frozenset[ThroughputObjective] = frozenset({"capacity", "throughput", "fair", "cost"})


@dataclass(frozen=True)
class ThroughputFeatures:
    """What a solver of throughput problems supports.

    Attributes
    ----------
    exact : bool
        Whether it proves optimality and infeasibility, given time.
    objectives : frozenset of str
    max_structures : int or None
        Largest number of conceivable structures it takes, where it looks at each.
    """

    exact: bool
    objectives: frozenset[ThroughputObjective] = ALL
    max_structures: int | None = None

    def unsupported(self, problem: ThroughputProblem) -> str | None:
        """What a problem needs that the solver lacks, as a phrase, or None where the two fit."""
        if problem.service.objective not in self.objectives:
            return f"objective {problem.service.objective!r}"
        if self.max_structures is not None:
            from .brute_force import structure_count

            count = structure_count(Offer.of(problem))
            if count > self.max_structures:
                return f"{count:.3g} conceivable structures, where {self.max_structures} is the most"
        return None
