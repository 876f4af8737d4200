"""Partition problems at the edges of what there can be: handled, or refused clearly."""

from __future__ import annotations

import numpy as np
import pytest
from edgeplan.formulation import CostError, EdgePlanError, PartitionProblem, PlatformError
from edgeplan.solvers import solve

VARIANTS = [
    pytest.param({"contiguous": True}, id="contiguous"),
    pytest.param({"contiguous": False}, id="free"),
    pytest.param({"objective": "latency"}, id="latency"),
]


def chain(costs: list[float], n_accelerators: int = 2, **changes: object) -> PartitionProblem:
    n = len(costs)
    edges = [(i, i + 1) for i in range(n - 1)]
    moved = changes.pop("transfer_time", 0.1)
    cpu = 10 * np.array(costs)
    return PartitionProblem.build(
        "chain", range(n), cpu, costs, edges, transfer_time=moved, n_accelerators=n_accelerators, **changes
    )


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("cost", [0.0, 1e-9, 1.0, 1e12])
def test_any_scale_of_costs(cost: float, variant: dict) -> None:
    problem = chain([cost] * 4, transfer_time=cost / 8, **variant)
    solution = solve(problem, time_limit_s=10)
    assert solution.status == "optimal"
    oracle = solve(problem, "brute_force")
    assert solution.objective == pytest.approx(oracle.objective, rel=5e-6, abs=0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_costs_of_all_scales_in_one_graph(variant: dict) -> None:
    problem = chain([0.0, 1e-9, 1.0, 1e12, 1e-9], transfer_time=1e6, **variant)
    solution = solve(problem, time_limit_s=10)
    oracle = solve(problem, "brute_force")
    assert solution.status == "optimal"
    assert solution.objective == pytest.approx(oracle.objective, rel=5e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_node(variant: dict) -> None:
    solution = solve(chain([3.0], **variant), time_limit_s=10)
    assert (solution.status, solution.objective) == ("optimal", 3.0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_graph_without_edges(variant: dict) -> None:
    costs = [5.0, 4.0, 3.0, 3.0, 2.0]
    problem = PartitionProblem.build("apart", range(5), [99.0] * 5, costs, [], n_accelerators=2, **variant)
    solution = solve(problem, time_limit_s=10)
    assert solution.status == "optimal"
    assert solution.objective == pytest.approx(9.0, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_two_thousand_parallel_branches(variant: dict) -> None:
    n = 2002
    edges = [(0, i) for i in range(1, n - 1)] + [(i, n - 1) for i in range(1, n - 1)]
    rng = np.random.default_rng(0)
    problem = PartitionProblem.build(
        "wide", range(n), 10.0, rng.uniform(0.5, 1.5, n), edges, transfer_time=0.001, n_accelerators=4, **variant
    )
    solution = solve(problem, time_limit_s=4)
    assert solution.status in ("optimal", "feasible")
    assert solution.bound is not None
    assert solution.objective is not None
    if variant.get("objective") != "latency":
        assert solution.objective < 1.02 * problem.accelerator_time.sum() / 4


def test_colours_that_force_a_cycle_are_fused() -> None:
    # a -> b -> c with a and c of one colour: contiguous devices must hold all three.
    problem = PartitionProblem.build(
        "loop", "abc", [50.0] * 3, [1.0, 2.0, 3.0], ["ab", "bc"], colour=[7, None, 7], n_accelerators=2
    )
    solution = solve(problem)
    assert solution.objective == 6.0
    assert len(set(solution.partition.device.tolist())) == 1
    assert solve(problem.replace(contiguous=False)).objective == 4.0


def test_no_memory_for_anything_without_a_cpu_is_infeasible() -> None:
    problem = chain([1.0, 1.0], n_cpus=0, size_bytes=8.0, accelerator_bytes=4.0)
    for contiguous in (True, False):
        solution = solve(problem.replace(contiguous=contiguous), time_limit_s=10)
        assert solution.status == "infeasible"
        assert "cannot hold" in solution.clashes[0]


def test_a_node_that_nothing_runs_is_refused() -> None:
    problem = chain([1.0, 2.0]).replace(accelerator_time=np.array([1.0, np.inf]))
    with pytest.raises(CostError, match="CPU"):
        solve(problem.replace(n_cpus=0))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"costs": [1.0, -1.0]}, CostError),
        ({"costs": [1.0, float("nan")]}, CostError),
        ({"n_accelerators": -1}, PlatformError),
        ({"n_accelerators": 0, "n_cpus": 0}, PlatformError),
        ({"blocks": 0}, PlatformError),
    ],
)
def test_bad_parts_are_refused(changes: dict, error: type[EdgePlanError]) -> None:
    costs = changes.pop("costs", [1.0, 1.0])
    with pytest.raises(error):
        chain(costs, **changes)
