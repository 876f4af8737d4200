"""What a solver of throughput problems hands back."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...formulation.throughput import ServiceEvaluation, ServiceLimit, ServicePlan
from ..answer import Answer


@dataclass(frozen=True)
class ServiceClash:
    """One of a smallest set of limits that no plan keeps together; `sentence` is for people."""

    limit: ServiceLimit
    sentence: str


@dataclass(frozen=True)
class ThroughputSolution(Answer):
    """Answer to a throughput problem. The objective is the value, negated where more is better.

    Attributes
    ----------
    plan : ServicePlan or None
    evaluation : ServiceEvaluation or None
        Of `plan`, by the one evaluator.
    clashes : tuple of ServiceClash
        For ``infeasible``: limits that cannot hold together; without any one of them the others can.
    """

    plan: ServicePlan | None = None
    evaluation: ServiceEvaluation | None = None
    clashes: tuple[ServiceClash, ...] = ()

    def stamped(self) -> ThroughputSolution:
        """Copy whose plan says which solver made it and what it proved."""
        if self.plan is None:
            return self
        return replace(self, plan=self.plan.model_copy(update={"solver": self.stamp}))
