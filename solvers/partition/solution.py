"""What a solver of partition problems hands back."""

from __future__ import annotations

from dataclasses import dataclass

from ...formulation import Partition, PartitionEvaluation
from ..answer import Answer


@dataclass(frozen=True)
class PartitionSolution(Answer):
    """Answer to a partition problem.

    Attributes
    ----------
    partition : Partition or None
    evaluation : PartitionEvaluation or None
        Of `partition`, by the one evaluator.
    clashes : tuple of str
        For ``infeasible``: what cannot hold together.
    """

    partition: Partition | None = None
    evaluation: PartitionEvaluation | None = None
    clashes: tuple[str, ...] = ()
