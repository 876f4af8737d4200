"""The evaluator and its percentiles against the simulator."""

import numpy as np
import pytest
from edgeplan.formulation import (
    Accelerator,
    Allocation,
    CoCompiledResidency,
    LruResidency,
    PlanError,
    TenancyProblem,
    Tenant,
    TenantAllocation,
    TokenResidency,
    evaluate_tenancy,
)
from edgeplan.formulation.tenancy import response_percentiles_us
from edgeplan.formulation.tenancy.simulation import Requests, simulate_tenancy
from edgeplan.solvers import solve
from edgeplan.solvers.tenancy.testing import random_tenancy

POLICIES = pytest.mark.parametrize(
    "residency", [TokenResidency(), CoCompiledResidency(), LruResidency()], ids=lambda r: r.kind
)


@POLICIES
def test_predicted_means_are_the_simulated_ones(residency):
    for seed, load in enumerate((0.3, 0.7, 1.0)):
        problem = random_tenancy(5, 8, 8, load, 20 + seed, residency)
        allocation = solve(problem, "local_search").allocation
        predicted = evaluate_tenancy(problem, allocation)
        requests = Requests.poisson(problem.rate_hz, 1_000_000, seed)
        simulated = simulate_tenancy(problem, allocation, requests, warm_up=0.05)
        assert predicted.mean_response_us == pytest.approx(simulated.overall.mean_us, rel=0.02)
        for part in predicted.tenants:
            assert part.response_us == pytest.approx(simulated.by_tenant[part.tenant].mean_us, rel=0.05)
            assert part.swap_probability == pytest.approx(simulated.by_tenant[part.tenant].swap_fraction, abs=0.01)


@POLICIES
def test_predicted_percentiles_are_close_to_the_simulated_ones(residency):
    problem = random_tenancy(4, 6, 6, 0.7, 31, residency)
    allocation = solve(problem, "local_search").allocation
    simulated = simulate_tenancy(problem, allocation, Requests.poisson(problem.rate_hz, 1_000_000, 1), warm_up=0.05)
    # The exact distribution of the wait is known for token residency only.
    tolerance = 0.1 if residency.kind == "token" else 0.2
    for level in (0.5, 0.95):
        predicted = response_percentiles_us(problem, allocation, level)
        for i, name in enumerate(simulated.tenants):
            responses = simulated.response_us[simulated.counted_from :]
            mine = responses[simulated.requests.tenant[simulated.counted_from :] == i]
            assert predicted[i] == pytest.approx(np.quantile(mine, level), rel=tolerance), (level, name)


def test_an_overload_is_named_with_its_utilisation():
    tenant = Tenant.create("one", [0, 1000.0], [5000.0, 0], [0, 10])
    problem = TenancyProblem.create([tenant], [2000], Accelerator(name="npu", weight_capacity_bytes=100), 1)
    for point, where in ((1, "accelerator 'npu'"), (0, "CPU cores of tenant 'one'")):
        allocation = Allocation(tenants=(TenantAllocation(tenant="one", point=point, cores=1 - point),))
        evaluation = evaluate_tenancy(problem, allocation)
        assert not evaluation.stable
        assert evaluation.mean_response_us == np.inf
        assert evaluation.unstable[0].startswith("unstable: ρ = ")
        assert where in evaluation.unstable[0]
        assert np.isinf(response_percentiles_us(problem, allocation, 0.9)).all()


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (TenantAllocation(tenant="two", point=0, cores=1), "tenants"),
        (TenantAllocation(tenant="one", point=3), "partition point"),
        (TenantAllocation(tenant="one", point=0), "core or more"),
        (TenantAllocation(tenant="one", point=0, cores=9), "cores"),
        (TenantAllocation(tenant="one", point=0, cores=4, threads=4), "threads"),
        (TenantAllocation(tenant="one", point=0, cores=3, threads=2), "threads"),
    ],
)
def test_allocations_that_do_not_fit_are_refused(part, message):
    tenant = Tenant.create("one", [0, 1000.0], [5000.0, 0], [0, 10], speedup=(1.0, 1.8))
    problem = TenancyProblem.create([tenant], [2], Accelerator(name="npu", weight_capacity_bytes=100), 4)
    with pytest.raises(PlanError, match=message):
        evaluate_tenancy(problem, Allocation(tenants=(part,)))
