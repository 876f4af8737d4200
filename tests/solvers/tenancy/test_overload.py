"""Loads that nothing can serve are proven so at once, and only those."""

from __future__ import annotations

import numpy as np
import pytest
from edgeplan.formulation import Accelerator, TenancyProblem, Tenant
from edgeplan.solvers import solve
from edgeplan.solvers.tenancy.overload import least_utilisation
from edgeplan.solvers.tenancy.search_space import SearchSpace
from edgeplan.solvers.tenancy.testing import random_tenancy


def two_points(rate_hz: float, cores: int) -> TenancyProblem:
    """10 ms on the accelerator, or 40 ms on a core."""
    tenants = [Tenant.create(name, [0.0, 10_000.0], [40_000.0, 0.0], [0, 10]) for name in ("a", "b")]
    device = Accelerator(name="d", weight_capacity_bytes=100)
    return TenancyProblem.create(tenants, rate_hz=[rate_hz] * 2, accelerator=device, cpu_cores=cores)


@pytest.mark.parametrize(
    ("rate_hz", "cores", "expected"),
    [(20.0, 0, 0.4), (20.0, 1, 0.2), (20.0, 2, 0.0), (60.0, 0, 1.2), (60.0, 2, 1.2), (60.0, 3, 0.6)],
)
def test_the_least_utilisation_is_that_of_the_best_split(rate_hz: float, cores: int, expected: float) -> None:
    assert least_utilisation(SearchSpace.of(two_points(rate_hz, cores))) == pytest.approx(expected)


@pytest.mark.parametrize("method", ["branch_and_bound", "local_search"])
def test_what_no_allocation_can_serve_is_infeasible_and_says_by_how_much(method: str) -> None:
    solution = solve(two_points(60.0, 0), method, time_limit_s=5)
    assert solution.status == "infeasible"
    assert "at least 1.2" in solution.clashes[0]
    assert "0.833 times these rates" in solution.clashes[0]


@pytest.mark.parametrize("seed", range(12))
def test_no_stable_problem_is_called_overloaded(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = random_tenancy(3, 4, 3, load=float(rng.uniform(0.5, 2.5)), seed=seed)
    if least_utilisation(SearchSpace.of(problem)) >= 1.0:
        assert solve(problem, "brute_force", time_limit_s=30).status == "infeasible"
