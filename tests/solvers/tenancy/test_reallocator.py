"""Solving again after rates changed."""

import numpy as np
import pytest
from edgeplan.formulation import CoCompiledResidency, LruResidency, TokenResidency, WorkloadError
from edgeplan.solvers import solve
from edgeplan.solvers.tenancy import Reallocator
from edgeplan.solvers.tenancy.testing import random_tenancy


@pytest.mark.slow
@pytest.mark.parametrize("residency", [TokenResidency(), CoCompiledResidency(), LruResidency()], ids=lambda r: r.kind)
def test_stays_close_to_a_search_from_scratch(residency):
    problem = random_tenancy(4, 20, 8, 0.6, 3, residency)
    again = Reallocator(problem)
    rng = np.random.default_rng(0)
    gaps = []
    for _ in range(20):
        rates = problem.rate_hz * rng.lognormal(0, 0.5, 4)
        answer = again.reallocate(rates)
        assert answer.status == "feasible"
        gaps.append(answer.objective / solve(problem.replace(rate_hz=rates), "local_search").objective - 1)
    assert np.mean(gaps) < 0.01


def test_takes_other_costs_and_refuses_silence():
    problem = random_tenancy(3, 6, 4, 0.5, 1)
    again = Reallocator(problem)
    first = again.reallocate()
    slower = [t.replace(accelerator_us=t.accelerator_us * 20) for t in problem.tenants]
    second = again.reallocate(problem=problem.replace(tenants=tuple(slower)))
    assert second.objective > first.objective
    assert again.problem.tenants == tuple(slower)
    with pytest.raises(WorkloadError, match="more than 0 requests"):
        again.reallocate([1, 0, 1])


def test_an_overload_is_a_status_and_passes():
    problem = random_tenancy(2, 4, 1, 0.5, 0)
    again = Reallocator(problem)
    assert again.reallocate(problem.rate_hz * 200).status == "timeout"
    assert again.reallocate(problem.rate_hz).status == "feasible"
