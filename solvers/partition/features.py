"""What a solver of partition problems can do, as data."""

from __future__ import annotations

from dataclasses import dataclass

from ...formulation import PartitionObjective, PartitionProblem


@dataclass(frozen=True)
class PartitionFeatures:
    """What a solver of partition problems supports.

    Attributes
    ----------
    objectives : frozenset of {'max-load', 'latency'}
    exact : bool
        Whether it proves optimality and infeasibility, given time.
    contiguous, free : bool
        Whether it takes max-load with, and without, contiguity.
    max_partitions : int or None
        Largest number of conceivable partitions it takes, where it looks at each.
    """

    objectives: frozenset[PartitionObjective]
    exact: bool
    contiguous: bool = True
    free: bool = True
    max_partitions: int | None = None

    def unsupported(self, problem: PartitionProblem) -> str | None:
        """What a problem needs that the solver lacks, as a phrase, or None where the two fit."""
        if problem.objective not in self.objectives:
            return f"objective {problem.objective!r}"
        if problem.objective == "max-load":
            if problem.contiguous and not self.contiguous:
                return "contiguous devices"
            if not problem.contiguous and not self.free:
                return "devices that need not be contiguous"
        if self.max_partitions is not None:
            places = problem.n_accelerators * (problem.blocks if problem.objective == "latency" else 1)
            places += 1 if problem.objective == "latency" else problem.n_cpus
            count = float(places) ** problem.n_nodes
            if count > self.max_partitions:
                return f"{count:.3g} conceivable partitions, where {self.max_partitions} is the most"
        return None
