"""What a solver of tenancy problems hands back."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...formulation import Allocation, TenancyEvaluation
from ..answer import Answer


@dataclass(frozen=True)
class TenancySolution(Answer):
    """Answer to a tenancy problem. The objective is the predicted mean response over all requests, microseconds.

    Attributes
    ----------
    allocation : Allocation or None
    evaluation : TenancyEvaluation or None
        Of `allocation`, by the one evaluator.
    clashes : tuple of str
        For ``infeasible``: why no allocation is stable.
    """

    allocation: Allocation | None = None
    evaluation: TenancyEvaluation | None = None
    clashes: tuple[str, ...] = ()

    def stamped(self) -> TenancySolution:
        """Copy whose allocation says which solver made it and what it proved."""
        if self.allocation is None:
            return self
        return replace(self, allocation=self.allocation.model_copy(update={"solver": self.stamp}))
