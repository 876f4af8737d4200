"""What a solver of tenancy problems can do, as data."""

from __future__ import annotations

from dataclasses import dataclass

from ...formulation import TenancyProblem

ALL_POLICIES = frozenset({"token", "co_compiled", "lru"})


@dataclass(frozen=True)
class TenancyFeatures:
    """What a solver of tenancy problems supports.

    Attributes
    ----------
    exact : bool
        Whether it proves optimality and infeasibility, given time.
    residency : frozenset of {'token', 'co_compiled', 'lru'}
        Policies that it takes.
    max_tenants : int or None
        Most tenants that it takes.
    max_allocations : int or None
        Largest number of conceivable allocations it takes, where it looks at each.
    """

    exact: bool
    residency: frozenset[str] = ALL_POLICIES
    max_tenants: int | None = None
    max_allocations: int | None = None

    def unsupported(self, problem: TenancyProblem) -> str | None:
        """What a problem needs that the solver lacks, as a phrase, or None where the two fit."""
        kind = problem.accelerator.residency.kind
        n = len(problem.tenants)
        if kind not in self.residency:
            return f"residency policy {kind!r}"
        if self.max_tenants is not None and n > self.max_tenants:
            return f"{n} tenants, where {self.max_tenants} is the most"
        if self.max_allocations is not None:
            count = 1.0
            for tenant in problem.tenants:
                count *= tenant.n_points * (1 + problem.cpu_cores)
            if count > self.max_allocations:
                return f"{count:.3g} conceivable allocations, where {self.max_allocations} is the most"
        return None
