"""The exact search against brute force, its bounds, and what it does with loads and devices at the edge."""

import numpy as np
import pytest
from edgeplan.formulation import (
    Accelerator,
    CoCompiledResidency,
    LruResidency,
    TenancyProblem,
    Tenant,
    TokenResidency,
    UnsupportedError,
    evaluate_tenancy,
)
from edgeplan.solvers import available_methods, solve
from edgeplan.solvers.tenancy.brute_force import allocations
from edgeplan.solvers.tenancy.testing import random_tenancy

METHODS = [m for m in available_methods(TenancyProblem) if m not in ("brute_force",)]
SIZES = [(1, 6, 3), (2, 5, 3), (3, 4, 2), (3, 3, 4)]


@pytest.mark.parametrize("residency", [TokenResidency(), CoCompiledResidency()], ids=lambda r: r.kind)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_branch_and_bound_is_brute_force(residency, size):
    for seed, load in enumerate((0.3, 0.8, 1.3)):
        problem = random_tenancy(*size, load, seed, residency)
        oracle = solve(problem, "brute_force")
        answer = solve(problem, "branch_and_bound")
        assert (oracle.status, answer.status) == ("optimal", "optimal")
        assert answer.objective == pytest.approx(oracle.objective, rel=1e-9)
        assert answer.gap == 0


@pytest.mark.parametrize("residency", [TokenResidency(), CoCompiledResidency(), LruResidency()], ids=lambda r: r.kind)
def test_no_method_beats_brute_force_and_all_are_what_they_say(residency):
    problem = random_tenancy(3, 4, 2, 0.6, 11, residency)
    oracle = solve(problem, "brute_force")
    for method in METHODS:
        if residency.kind == "lru" and method == "branch_and_bound":
            with pytest.raises(UnsupportedError, match="lru"):
                solve(problem, method)
            continue
        answer = solve(problem, method, seed=3)
        if answer.objective is None:
            assert answer.status == "timeout"
            continue
        assert answer.objective >= oracle.objective * (1 - 1e-9)
        assert answer.objective == evaluate_tenancy(problem, answer.allocation).mean_response_us
        assert answer.allocation.solver.method == method


@pytest.mark.parametrize("residency", [TokenResidency(), CoCompiledResidency(), LruResidency()], ids=lambda r: r.kind)
def test_local_search_finds_the_best_of_small_problems(residency):
    for seed in range(4):
        problem = random_tenancy(3, 4, 2, (0.3, 0.6, 0.9, 1.2)[seed], seed, residency)
        oracle, found = solve(problem, "brute_force"), solve(problem, "local_search")
        assert found.objective <= oracle.objective * 1.01


def test_local_search_is_within_one_percent_where_exact_still_reaches():
    for seed in range(3):
        problem = random_tenancy(8, 30, 16, 0.4 + 0.4 * seed, seed)
        exact = solve(problem, "branch_and_bound", time_limit_s=20)
        assert exact.status == "optimal"
        assert solve(problem, "local_search").objective <= exact.objective * 1.01


def test_a_stopped_search_still_bounds():
    problem = random_tenancy(9, 30, 16, 0.9, 1, CoCompiledResidency())
    stopped = solve(problem, "branch_and_bound", time_limit_s=0.5)
    assert stopped.status in ("feasible", "optimal")
    assert 0 <= stopped.bound <= stopped.objective
    assert stopped.bound <= solve(problem, "local_search").objective


def test_auto_proves_where_it_can():
    assert solve(random_tenancy(3, 5, 2, 0.5, 1)).method == "branch_and_bound"
    assert solve(random_tenancy(3, 5, 2, 0.5, 1, LruResidency())).method == "local_search"
    assert solve(random_tenancy(17, 5, 8, 0.5, 1)).method == "local_search"


def test_too_much_load_is_infeasible_and_says_so():
    problem = random_tenancy(2, 4, 1, 60.0, 0)
    for method in ("branch_and_bound", "brute_force"):
        answer = solve(problem, method)
        assert answer.status == "infeasible"
        assert "requests a second" in answer.clashes[0]
    assert solve(problem, "local_search").status == "infeasible"


def test_equal_tenants_and_one_tenant():
    one = random_tenancy(1, 6, 2, 0.5, 4)
    tenants = [one.tenants[0].replace(name=f"copy{i}") for i in range(3)]
    equal = TenancyProblem.create(tenants, np.full(3, one.rate_hz[0] / 3), one.accelerator, 2)
    for problem in (one, equal):
        exact, oracle = solve(problem, "branch_and_bound"), solve(problem, "brute_force")
        assert exact.objective == pytest.approx(oracle.objective, rel=1e-9)


def test_a_device_without_streaming_or_without_cores():
    tenants = [
        Tenant.create(f"t{i}", [0, 900, 2000], [40_000, 21_000, 0], [0, 3_000, 9_000], [0, 100, 0]) for i in range(2)
    ]
    small = Accelerator(name="npu", weight_capacity_bytes=4_000)
    problem = TenancyProblem.create(tenants, [3, 3], small, 2)
    answer = solve(problem, "branch_and_bound")
    assert answer.objective == pytest.approx(solve(problem, "brute_force").objective, rel=1e-9)
    assert all(part.point < 2 for part in answer.allocation.tenants)
    large = small.model_copy(update={"weight_capacity_bytes": 10_000})
    alone = solve(TenancyProblem.create(tenants, [3, 3], large, 0), "branch_and_bound")
    assert [part.point for part in alone.allocation.tenants] == [2, 2]
    shared = TenancyProblem.create(tenants, [3, 3], large.model_copy(update={"residency": CoCompiledResidency()}), 2)
    exact, oracle = solve(shared, "branch_and_bound"), solve(shared, "brute_force")
    assert exact.objective == pytest.approx(oracle.objective, rel=1e-9)


def test_brute_force_counts_what_it_should():
    problem = random_tenancy(2, 3, 2, 0.5, 0)
    # A tenant: whole (1), or point 0 or 1 on 1 core, 2 cores or one pair of threads. Both split: only one core each.
    assert sum(1 for _ in allocations(problem)) == 1 + 2 * 2 * 3 + 2 * 2


def test_same_seed_same_allocation():
    problem = random_tenancy(14, 20, 16, 0.8, 2)
    one, two = (solve(problem, "local_search", seed=5) for _ in range(2))
    assert one.allocation.tenants == two.allocation.tenants


def test_the_search_ends_where_loads_are_next_to_the_limit():
    # Nothing stable, and no bound that closes the slices next to full load: they were halved without end.
    overloaded = Tenant.create("t", [0, 900], [np.inf, 0], [0, 3_000], accelerator_scv=1.0)
    device = Accelerator(name="npu", weight_capacity_bytes=5_000, residency=CoCompiledResidency())
    answer = solve(TenancyProblem.create([overloaded], [1e6], device, 0), "branch_and_bound", time_limit_s=20)
    assert answer.status == "infeasible"
    # A best choice of which the last slice, which ends at full load, keeps being cut.
    tenants = [
        Tenant.create(
            "a", [0, 189.27454133], [1712.78903863, 0], [0, 5470], [107, 182], speedup=(1.0, 1.8), accelerator_scv=1.0
        ),
        Tenant.create(
            "b",
            [0, 83.95156217, 811.40008739],
            [1717.11528925, 999.04051001, 0],
            [0, 4154, 5639],
            [581, 584, 866],
            streaming_us=[0, 0, 33.31598636],
            resident_bytes=[0, 0, 5639],
            speedup=(1.0, 3.0),
            accelerator_scv=1.0,
            cpu_scv=4.0,
        ),
    ]
    device = Accelerator(
        name="npu",
        weight_capacity_bytes=1_000_000,
        reload_fixed_us=10,
        reload_us_per_byte=1,
        streaming_fixed_us=500,
        streaming_us_per_byte=0.5,
        handover_us_per_byte=0.1,
    )
    problem = TenancyProblem.create(tenants, [120.70222355, 2169.68420409], device, 2)
    exact, oracle = solve(problem, "branch_and_bound"), solve(problem, "brute_force")
    assert (exact.status, oracle.status) == ("optimal", "optimal")
    assert exact.objective == pytest.approx(oracle.objective, rel=1e-9)
